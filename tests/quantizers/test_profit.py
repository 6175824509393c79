"""PROFIT: divergences by hand, the order of freezing, and that frozen means frozen."""

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError
from quantdg.quantizers.contract.toy_net import float_net, images
from quantdg.quantizers.insertion import sites_of
from quantdg.quantizers.lsq import LSQQuant
from quantdg.quantizers.profit import PROFIT, ProfitQuant, divergence
from quantdg.quantizers.spec import QuantSpec


def channel(mean: float, sd: float) -> torch.Tensor:
    values = torch.tensor([-1.0, 0.0, 1.0])  # unbiased deviation 1
    return (mean + sd * values)[:, None]


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [((1, 2), (0, 2), 0.125), ((0, 1), (0, 2), 0.3181472), ((0, 2), (0, 2), 0.0)],
)
def test_the_divergence_by_hand(now, before, expected: float) -> None:
    assert divergence(channel(*now), channel(*before), -1).item() == pytest.approx(expected, abs=1e-6)


def test_channels_are_averaged_and_those_without_spread_left_out() -> None:
    now = torch.cat([channel(1, 2), channel(0, 1), channel(5, 0)], dim=1)
    before = torch.cat([channel(0, 2), channel(0, 2), channel(0, 2)], dim=1)
    expected = (0.125 + 0.3181472) / 2
    assert divergence(now, before, -1).item() == pytest.approx(expected, abs=1e-6)
    image, old = now.T[None, :, :, None], before.T[None, :, :, None]  # as the output of a convolution
    assert divergence(image, old, 1).item() == pytest.approx(expected, abs=1e-6)
    assert divergence(channel(1, 0), channel(0, 1), -1).isnan()


def test_the_metric_is_a_moving_average_without_outliers() -> None:
    quant = ProfitQuant(LSQQuant(3), torch.ones(2))
    for value in (0.5, 1.5, float("nan"), 0.25):
        quant.take(torch.tensor(value))
    assert quant.metric.item() == pytest.approx(0.999 * 0.0005 + 0.00025)


class Three(nn.Module):
    """Three layers; the first changes most, since training moves it most."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = (nn.Linear(6, 6) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.c(self.b(self.a(x)))
        return out


def test_the_least_stable_layers_are_frozen_by_thirds_and_stay_still_whatever_the_optimizer_does() -> None:
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(64, 6, generator=generator) for _ in range(2)]
    model, quantizer = Three(), PROFIT(QuantSpec(8, rules=()), sampling=3, steps=9)
    quantizer.prepare(model, inputs[0])
    quantizer.calibrate(model, inputs)
    speed = {"a": 0.1, "b": 0.03, "c": 0.003}
    sites = dict(sites_of(model))
    for number in range(1, 4):
        for name, site in sites.items():
            site.latent.data.add_(speed[name] * torch.randn(6, 6, generator=generator))
        quantizer.on_step(model, number)
    metric = {name: site.weight_quant.metric.item() for name, site in sites.items()}
    assert metric["a"] > metric["b"] > metric["c"] > 0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    frozen, still = [], {}
    for number in range(4, 30):
        optimizer.zero_grad(set_to_none=False)
        model.train()(inputs[0]).square().mean().backward()
        optimizer.step()
        quantizer.on_step(model, number)
        now = "".join(name for name, site in sites.items() if site.weight_quant.frozen)
        if "a" in now:
            value = sites["a"].module.weight.detach().clone()
            still.setdefault("a", value)
            assert torch.equal(value, still["a"])
        frozen.append(now)
    assert frozen == [""] + ["a"] * 2 + ["ab"] * 23  # after steps 3 + 2 and 3 + 4
    assert sites["a"].module.bias.grad.abs().max() > 0  # the rest of a frozen layer trains on
    audit = quantizer.audit(model).sites
    assert [audit[name].dead == 0 for name in "abc"] == [False, False, True]
    assert [audit[name].own for name in "abc"] == [
        {"aiwq": metric[n], "frozen": float(n != "c"), **sites[n].weight_quant.inner.own(sites[n].latent)}
        for n in "abc"
    ]


def test_sampling_leaves_modes_and_gradients_alone() -> None:
    model, quantizer = float_net(), PROFIT(QuantSpec(4, 8), base="lsq", sampling=5)
    quantizer.prepare(model, images(0)[0])
    quantizer.calibrate(model, [images(0)[0]])
    modes = [m.training for m in model.modules()]
    model.zero_grad()
    state = {n: t.clone() for n, t in model.state_dict().items() if "metric" not in n}
    quantizer.on_step(model, 1)
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(t, model.state_dict()[n]) for n, t in state.items())
    assert [float(site.weight_quant.metric) for _, site in sites_of(model)] == [0, 0, 0]  # nothing had moved


def test_what_it_refuses() -> None:
    with pytest.raises(ConfigError, match="sampling must be at least 1 and less than steps"):
        PROFIT(sampling=10, steps=10)
