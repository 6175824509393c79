"""EWGS against the paper's equation by hand, and its delta against Hessians that are known."""

import copy

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError, QuantizerError
from quantdg.quantizers.ewgs import EWGS, EWGSQuant
from quantdg.quantizers.insertion import sites_of
from quantdg.quantizers.lsq import LSQ, LSQQuant
from quantdg.quantizers.spec import QuantSpec


def quant(delta: float | None, bits: int = 2, scale: float = 1.0) -> EWGSQuant:
    inner = LSQQuant(bits)
    inner.step_size.data.fill_(scale)
    return EWGSQuant(inner, delta, every=10, batches=1).train()


@pytest.mark.parametrize(("g", "expected"), [(1.0, 1.0133333), (-1.0, -0.9866667)])
def test_the_gradient_by_hand(g: float, expected: float) -> None:
    x = torch.tensor([3 * 0.4 - 2], requires_grad=True)  # 2 bits: codes -2 to 1; between the ends .4, its value 1/3
    out = quant(0.2)(x)
    assert out.item() == -1
    (out * g).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(expected, abs=1e-6)


def test_without_curvature_it_is_its_base_bit_for_bit() -> None:
    w = torch.randn(50, generator=torch.Generator().manual_seed(0))
    gradients = []
    for make in (lambda: quant(0.0), lambda: quant(0.0).inner):
        x, q = w.clone().requires_grad_(), make()
        q(x).pow(3).sum().backward()
        scale = q.step_size if isinstance(q, LSQQuant) else q.inner.step_size
        gradients.append((x.grad, scale.grad))
    (a, a_scale), (b, b_scale) = gradients
    assert torch.equal(a, b)
    assert torch.equal(a_scale, b_scale)


class Two(nn.Module):
    """Two weights whose loss is known: the output is the sum of squares of what each layer makes of ones."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 1, bias=False), nn.Linear(2, 1, bias=False)
        self.a.weight.data = torch.tensor([[0.5, -1.2, 0.9]])
        self.b.weight.data = torch.tensor([[1.0, 0.4]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(3)
        return torch.cat([self.a(eye).flatten(), self.b(eye[:2, :2]).flatten()])[None] * x[:, :1]


def prepared(**options) -> tuple[Two, EWGS]:
    model, quantizer = Two(), EWGS(QuantSpec(3, granularity="per_tensor", rules=()), **options)
    quantizer.prepare(model, torch.ones(1, 3))
    quantizer.calibrate(model, [torch.ones(1, 3)])
    return model.train(), quantizer


def step(model: nn.Module, quantizer: EWGS, curvature: torch.Tensor, linear: torch.Tensor) -> None:
    w_q = model(torch.ones(1, 3))[0]
    loss = (curvature * w_q.square() / 2 + linear * w_q).sum()
    quantizer.on_loss(model, loss)
    loss.backward()


def test_delta_is_the_mean_curvature_over_three_deviations_of_the_gradient() -> None:
    model, quantizer = prepared(every=10, batches=2, probes=1)  # a diagonal Hessian: any signs give its trace
    linear = torch.tensor([1.0, -2.0, 0.5, 0.3, -0.1])
    expected = dict.fromkeys("ab", 0.0)
    for number, curvature in enumerate([torch.arange(1.0, 6.0), torch.ones(5)], start=1):
        w_q = model(torch.ones(1, 3))[0].detach()
        gradient = curvature * w_q + linear
        for name, part in (("a", slice(0, 3)), ("b", slice(3, 5))):
            width = 7 * dict(sites_of(model))[name].weight_quant.inner.step_size.item()
            value = width**2 * curvature[part].mean() / (3 * width * gradient[part].std())
            expected[name] += value.item() / 2
        step(model, quantizer, curvature, linear)
        quantizer.on_step(model, number)
    for name, site in sites_of(model):
        assert site.weight_quant.delta.item() == pytest.approx(expected[name], rel=1e-5)
        assert quantizer.audit(model).sites[name].own == {"delta": site.weight_quant.delta.item()}
    before = {name: site.weight_quant.delta.item() for name, site in sites_of(model)}
    step(model, quantizer, -torch.ones(5), linear)  # not due
    quantizer.on_step(model, 3)
    assert {name: site.weight_quant.delta.item() for name, site in sites_of(model)} == before


def test_a_negative_curvature_gives_plain_straight_through() -> None:
    model, quantizer = prepared(every=1, batches=1, probes=1)
    step(model, quantizer, -torch.ones(5), torch.arange(5.0))
    assert [site.weight_quant.delta.item() for _, site in sites_of(model)] == [0, 0]


def test_the_trace_of_a_full_hessian_is_met_on_average() -> None:
    torch.manual_seed(0)
    model, quantizer = prepared(every=1, batches=1, probes=400)
    root = torch.randn(5, 5)
    hessian = root @ root.T
    w_q = model(torch.ones(1, 3))[0]
    loss = w_q @ hessian @ w_q / 2 + (torch.arange(5.0) * w_q).sum()
    gradient = (hessian @ w_q + torch.arange(5.0)).detach()
    quantizer.on_loss(model, loss)
    quant_a = dict(sites_of(model))["a"].weight_quant
    width = 7 * quant_a.inner.step_size.item()
    expected = width * hessian[:3, :3].trace() / 3 / (3 * gradient[:3].std())
    assert quant_a.delta.item() == pytest.approx(expected.item(), rel=0.15)


def test_the_second_pass_of_a_step_and_copies_leave_the_estimate_alone() -> None:
    model, quantizer = prepared(every=1, batches=1, probes=1)
    step(model, quantizer, torch.ones(5), torch.arange(5.0))
    _, site = next(iter(sites_of(model)))
    quantizer.on_step(model, 1)
    site.weight_quant.held = True
    model(torch.ones(1, 3))
    assert site.weight_quant.seen == []
    site.weight_quant.held = False
    model(torch.ones(1, 3))
    assert len(site.weight_quant.seen) == 1
    assert next(iter(sites_of(copy.deepcopy(model))))[1].weight_quant.seen == []


def test_further_passes_of_a_step_after_its_loss_was_shown_are_left_out() -> None:
    model, quantizer = prepared(every=1, batches=1, probes=1)
    step(model, quantizer, torch.ones(5), torch.arange(5.0))
    model(torch.ones(1, 3)).sum().backward()  # as the other players of SagNet do
    quantizer.on_step(model, 1)
    model(torch.ones(1, 3))
    assert [len(site.weight_quant.seen) for _, site in sites_of(model)] == [1, 1]


def test_a_loop_that_shows_no_loss_is_told_so() -> None:
    model, quantizer = prepared()
    model(torch.ones(1, 3)).sum().backward()
    with pytest.raises(QuantizerError, match="on_loss was not called; call it"):
        quantizer.on_step(model, 1)
    model, quantizer = prepared(delta=0.2)
    model(torch.ones(1, 3)).sum().backward()
    quantizer.on_step(model, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": -1.0}, "delta must be at least 0"),
        ({"batches": 4, "every": 3}, "batches must be from 1 to every"),
        ({"probes": 0}, "probes at least 1"),
    ],
)
def test_what_it_refuses(options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EWGS(**options)


def test_a_base_without_second_derivatives_is_refused_where_they_are_needed() -> None:
    spec = QuantSpec(3, rules=())
    assert "differentiates twice" in EWGS(spec, base="torch_ao_learnable").supports(Two(), spec).reason
    assert EWGS(spec, base="torch_ao_learnable", delta=0.2).supports(Two(), spec).ok
    assert LSQ.double_backward
