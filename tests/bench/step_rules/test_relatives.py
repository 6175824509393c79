"""SAGM, SAQ and the l1 gradient penalty against numbers worked out by hand, and against each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from quantdg.bench.algorithms.base import Algorithm
from quantdg.bench.models.base import DGModel
from quantdg.bench.step_rules.base import Plain, StepRule
from quantdg.bench.step_rules.gradient_l1 import Form, GradientL1
from quantdg.bench.step_rules.sagm import SAGM
from quantdg.bench.step_rules.sam import SAM
from quantdg.bench.step_rules.saq import SAQ
from quantdg.core.errors import ConfigError
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.round_freeze import RoundFreeze
from quantdg.quantizers.spec import QuantSpec

RATE = 0.1
FORMS = ("finite_difference", "double_backward")


class Problem(Algorithm):
    """A loss of two weights, which it notes at every pass; a quantizer may be put on them."""

    def __init__(self, start: list[float], loss: Any, rule: StepRule) -> None:
        network = DGModel(nn.Flatten(), 2, 1)
        with torch.no_grad():
            network.classifier.weight.copy_(torch.tensor([start]))
        super().__init__(network, 1, lambda params: torch.optim.SGD(params, lr=RATE))
        self.rule, self.loss = rule, loss
        self.seen: list[Tensor] = []

    @property
    def latent(self) -> Tensor:
        return self.network.classifier._parameters["weight"].detach()  # type: ignore[union-attr]

    def losses(self, minibatches: Any) -> dict[str, Tensor]:
        w = self.network.classifier.weight[0]
        self.seen.append(w.detach().clone())
        return {"loss": self.loss(w)}

    def used(self) -> Tensor:
        """The gradient that the optimizer stepped with."""
        before = self.latent.clone()
        self.update([])
        return ((before - self.latent) / RATE)[0]


def quadratic(w: Tensor) -> Tensor:
    return 0.5 * (w[0] ** 2 + 3 * w[1] ** 2)


def test_sagm_by_hand() -> None:
    problem = Problem([1.0, -1.0], quadratic, SAGM(rho=0.1, alpha=0.01))
    used = problem.used()
    e = problem.seen[1] - problem.seen[0]
    assert e.tolist() == pytest.approx([0.0216228, -0.0648683], abs=1e-6)
    assert used.tolist() == pytest.approx([1.0108114, -3.0973025], abs=1e-5)


def test_sagm_without_a_perturbation_is_the_plain_step() -> None:
    start = [1.0, -1.0]
    gradient = 10**0.5
    same = Problem(start, quadratic, SAGM(rho=0.1, alpha=0.1 / gradient)).used()  # rho / |g| = alpha
    assert same.tolist() == pytest.approx(Problem(start, quadratic, Plain()).used().tolist(), abs=1e-5)


def residual(w: Tensor) -> Tensor:
    return 0.5 * (3 * w[0] - w[1]) ** 2


@pytest.mark.parametrize(("weight", "radius"), [(1.0, 0.1), (0.5, 0.2), (0.01, 10.0)])
@pytest.mark.parametrize("form", FORMS)
def test_gradient_l1_is_the_penalty_exactly_on_a_quadratic(weight: float, radius: float, form: Form) -> None:
    # g = (3, -1), grad |g|_1 = r |x|_1 x = (12, -4); lam = weight * radius = .1 in all three
    used = Problem([1.0, 2.0], residual, GradientL1(radius=radius, weight=weight, form=form)).used()
    assert used.tolist() == pytest.approx([4.2, -1.4], abs=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_l1_of_a_logistic_loss_by_hand(form: Form) -> None:
    # L = log(1 + e^-w): |L'| = .5 and d|L'|/dw = -.25 at 0; the finite difference is off by r^2 / 16
    lam = 1e-2
    used = Problem([0.0, 0.0], lambda w: torch.log1p(torch.exp(-w[0])), GradientL1(radius=lam, form=form)).used()
    assert used.tolist() == pytest.approx([-0.5 - 0.25 * lam, 0], abs=1e-5)


class TwoLayers(Algorithm):
    """A ReLU net with biases, in double precision."""

    def __init__(self, rule: StepRule) -> None:
        torch.manual_seed(0)
        hidden = nn.Sequential(nn.Flatten(), nn.Linear(5, 8), nn.ReLU())
        super().__init__(DGModel(hidden, 8, 3).double(), 1, lambda params: torch.optim.SGD(params, lr=RATE))
        self.rule = rule

    def losses(self, minibatches: Any) -> dict[str, Tensor]:
        ((x, y),) = minibatches
        return {"loss": nn.functional.cross_entropy(self.predict(x), y)}


def two_layers() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(64, 5, dtype=torch.double, generator=generator), torch.arange(64) % 3)]


def after(rule: StepRule, steps: int = 1) -> TwoLayers:
    algorithm = TwoLayers(rule)
    for _ in range(steps):
        algorithm.update(two_layers())
    return algorithm


def moves(rule: StepRule) -> list[Tensor]:
    start, end = TwoLayers(Plain()), after(rule)
    return [b.detach() - a.detach() for a, b in zip(start.parameters(), end.parameters(), strict=True)]


class TwoScalars(Algorithm):
    """The loss is (w2 w1 - 1)^2 / 2, of two layers of one weight each."""

    def __init__(self, rule: StepRule) -> None:
        hidden = nn.Sequential(nn.Flatten(), nn.Linear(1, 1, bias=False))
        super().__init__(DGModel(hidden, 1, 1).double(), 1, lambda params: torch.optim.SGD(params, lr=RATE))
        self.weights = [p for p in self.parameters() if p.dim() > 1]
        with torch.no_grad():
            for p, value in zip(self.parameters(), (2.0, -1.0, 0.0), strict=True):
                p.fill_(value)
        self.rule = rule

    def losses(self, minibatches: Any) -> dict[str, Tensor]:
        return {"loss": (self.predict(torch.ones(4, 1, dtype=torch.double)) - 1).square().mean() / 2}


@pytest.mark.parametrize("form", FORMS)
def test_gradient_l1_of_layer_inputs_in_closed_form(form: Form) -> None:
    # w = (2, -1), e = w2 w1 - 1 = -3: dL/dw = e (w2, w1) = (3, -6), dL/dx2 = e w2 = 3 over the batch, which the mean is of
    # grad |dL/dw|_1 = (w2^2 - w2 w1 - e, w1 w2 + e - w1^2) = (6, -9),   grad |dL/dx2| = (w2^2, w1 w2 + e) = (1, -5)
    def moved(weight_radius: float, input_radius: float) -> Tensor:
        algorithm = TwoScalars(GradientL1(radius=weight_radius, activations=input_radius, form=form))
        before = torch.cat([w.detach().flatten() for w in algorithm.weights])
        algorithm.update([])
        return (before - torch.cat([w.detach().flatten() for w in algorithm.weights])) / RATE

    r, r_y = 1e-6, 1e-5
    extra = (moved(r, r_y) - torch.tensor([3.0, -6.0])).tolist()
    assert extra == pytest.approx([6 * r + 1 * r_y, -9 * r - 5 * r_y], rel=1e-4)
    assert (moved(r, 0) - torch.tensor([3.0, -6.0])).tolist() == pytest.approx([6 * r, -9 * r], rel=1e-4)


@pytest.mark.parametrize("activations", [0.0, 1e-4])
def test_both_forms_of_gradient_l1_agree_on_a_relu_net(activations: float) -> None:
    rules = (GradientL1(radius=1e-4, activations=activations, form=form) for form in FORMS)
    plain, one, two = (moves(rule) for rule in (Plain(), *rules))
    for p, a, b in zip(plain, one, two, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=float(1e-3 * b.norm()))
        assert torch.allclose(a - p, b - p, rtol=1e-3, atol=float(1e-3 * (b - p).norm()))
        assert not torch.equal(b, p)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_l1_of_weight_0_is_the_plain_step_bit_for_bit(form: Form) -> None:
    assert all(torch.equal(a, b) for a, b in zip(moves(Plain()), moves(GradientL1(weight=0, form=form)), strict=True))


@pytest.mark.parametrize("form", FORMS)
def test_gradient_l1_trains_to_a_smaller_norm(form: Form) -> None:
    def end(rule: StepRule) -> tuple[float, float]:
        algorithm = after(rule, 200)
        loss = algorithm.losses(two_layers())["loss"]
        weights = [p for p in algorithm.parameters() if p.dim() > 1]
        return sum(float(g.abs().sum()) for g in torch.autograd.grad(loss, weights)), float(loss.detach())

    (plain, loss), (norm, other) = end(Plain()), end(GradientL1(radius=0.02, form=form))
    assert norm < 0.95 * plain
    assert other == pytest.approx(loss, rel=0.1)


def test_a_double_backward_through_numbers_is_refused_not_skipped() -> None:
    problem = Problem([1.0, 2.0], lambda w: 3 * w[0], GradientL1(form="double_backward"))
    with pytest.raises(ConfigError, match=r"depends on the weights, .* write step_rule.form=finite_difference"):
        problem.update([])


@pytest.mark.parametrize("form", FORMS)
def test_the_radius_of_a_width_is_half_the_scale_of_its_widest_grid(form: Form) -> None:
    used = Problem([1.0, -2.0], quadratic, GradientL1(bits=4, form=form)).used()
    assert used.tolist() == pytest.approx([1 + 2 / 15, -6 - 3 * 2 / 15], abs=1e-5)


def quantized(rule: StepRule, kind: type = LSQ) -> Problem:
    problem = Problem([0.6, -1.2], quadratic, rule)
    quantizer = kind(QuantSpec(weight_bits=3, granularity="per_tensor", rules=()))
    quantizer.prepare(problem.network, torch.zeros(1, 2))
    quant = problem.network.classifier.weight_quant
    scale = quant.step_size.data if kind is LSQ else quant.scale
    scale.fill_(1.0)
    for group in quantizer.param_groups(problem.network, RATE):
        problem.add_quantizer_group(group)
    return problem


def test_saq_perturbs_the_quantized_weight_by_hand() -> None:
    problem = quantized(SAQ(rho=0.1))
    used = problem.used()
    assert problem.seen[0].tolist() == [1, -1]
    assert (problem.seen[1] - problem.seen[0]).tolist() == pytest.approx([0.0316228, -0.0948683], abs=1e-6)
    assert used.tolist() == pytest.approx([1.0316228, -3.2846050], abs=1e-4)


def test_sam_on_the_latent_weight_rounds_its_perturbation_away() -> None:
    problem = quantized(SAM(rho=0.1))
    used = problem.used()
    assert problem.seen[1].tolist() == problem.seen[0].tolist() == [1, -1]
    assert used.tolist() == pytest.approx([1, -3])


def test_saq_leaves_no_hook_and_no_trace_behind() -> None:
    problem = quantized(SAQ(rho=0.1))
    quant = problem.network.classifier.weight_quant
    problem.update([])
    assert not quant._forward_hooks
    latent, scale = problem.latent.clone(), quant.step_size.detach().clone()
    problem.rule = SAQ(rho=1e30)
    with pytest.raises(Exception, match="training loss is inf"):
        problem.update([])
    assert not quant._forward_hooks
    assert torch.equal(problem.latent, latent)
    assert torch.equal(quant.step_size.detach(), scale)


def test_saq_in_a_float_network_is_sam() -> None:
    start = [1.0, -1.0]
    assert torch.equal(Problem(start, quadratic, SAQ(rho=0.3)).used(), Problem(start, quadratic, SAM(rho=0.3)).used())


def test_saq_perturbs_frozen_weights_too() -> None:
    problem = quantized(SAQ(rho=0.1), RoundFreeze)
    bias = problem.network.classifier.bias
    problem.loss = lambda w: quadratic(w) + bias.square().sum()
    with torch.no_grad():
        bias.fill_(0.5)
    problem.update([])
    assert (problem.seen[1] - problem.seen[0]).tolist() == pytest.approx(
        [0.1 * 1 / 11**0.5, -0.1 * 3 / 11**0.5], abs=1e-6
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SAGM(alpha=-1), "alpha at least 0, got 0.05 and -1"),
        (lambda: SAQ(rho=0), "step_rule.rho must be above 0, got 0"),
        (lambda: GradientL1(radius=0), "step_rule.radius must be above 0"),
        (lambda: GradientL1(activations=-1), "step_rule.activations must be at least 0, got -1"),
        (lambda: GradientL1(weight=2), "weight from 0 to 1, got 0.001 and 2"),
        (lambda: GradientL1(form="triple"), "step_rule.form must be one of finite_difference, double_backward, got"),
        (lambda: GradientL1(bits=9), "bits must be null or from 2 to 8, got 9"),
    ],
)
def test_what_they_refuse(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
