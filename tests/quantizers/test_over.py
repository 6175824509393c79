"""Methods over another quantizer's grid: Quant-Noise, Toggle, iterative freezing; and stochastic rounding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from quantdg.core.errors import ConfigError, UnknownNameError
from quantdg.quantizers.base import Quantizer
from quantdg.quantizers.contract.toy_net import float_net
from quantdg.quantizers.draws import Draws
from quantdg.quantizers.iterative_freezing import FreezingQuant, IterativeFreezing
from quantdg.quantizers.layers import sites_of
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.min_max import MinMaxQuant
from quantdg.quantizers.oscillation import Oscillations
from quantdg.quantizers.over import BASES, base_class
from quantdg.quantizers.quant_noise import PartlyQuant, QuantNoise
from quantdg.quantizers.spec import IntegerRange, QuantSpec
from quantdg.quantizers.stochastic_rounding import StochasticQuant, StochasticRounding
from quantdg.quantizers.toggle import Toggle, TogglingQuant


def grid(kind: type[MinMaxQuant] = MinMaxQuant) -> MinMaxQuant:
    """Codes -4 to 3, scale 1."""
    quant = kind(IntegerRange(-4, 3), (), symmetric=True, gradient="clipped", scale_factor=1.0)
    quant.low.fill_(-3.5)
    quant.high.fill_(3.5)
    return quant


def prepared(quantizer: Quantizer) -> nn.Module:
    torch.manual_seed(0)
    model = float_net()
    quantizer.prepare(model, torch.randn(2, 3, 8, 8))
    return model


@pytest.mark.parametrize("base", sorted(BASES))
def test_every_base_is_named_so_and_evaluates_the_same_under_a_method(base: str) -> None:
    assert base_class(base).name == base
    spec = QuantSpec(weight_bits=4, act_bits=8 if base == "pact" else None)
    plain, over = prepared(base_class(base)(spec)).eval(), prepared(QuantNoise(spec, base=base, share=0.5)).eval()
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(plain(x), over(x))


def test_share_one_of_quant_noise_trains_as_its_base_does() -> None:
    spec, losses = QuantSpec(weight_bits=4), []
    for quantizer in (LSQ(spec), QuantNoise(spec, share=1.0)):
        model = prepared(quantizer)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        for step in range(1, 4):
            optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            quantizer.on_step(model, step)
        losses.append(loss.item())
    assert losses[0] == losses[1]


def test_quant_noise_rounds_its_share_and_draws_anew_each_step() -> None:
    quant = PartlyQuant(grid(), 0.3, Draws(0, "layer")).train()
    x = torch.full((10_000,), 0.4, requires_grad=True)
    first = quant(x)
    assert set(first.detach().unique().tolist()) == {0.0, x[0].item()}
    assert (first == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(quant(x), first)
    quant.advance(x.detach(), 1)
    both = ((quant(x) == 0) & (first == 0)).float().mean().item()
    assert both == pytest.approx(0.09, abs=0.02)  # independent draws
    assert (quant.eval()(x) == 0).all()


def test_toggle_passes_the_weight_in_every_second_block() -> None:
    quant, x = TogglingQuant(grid(), 2).train(), torch.tensor([0.4])
    seen = []
    for step in range(1, 8):
        seen.append(quant(x).item())
        quant.advance(x, step)
    assert seen == pytest.approx([0, 0, 0.4, 0.4, 0, 0, 0.4])
    assert quant.eval()(x).item() == 0


def follow(codes: list[int]) -> list[float]:
    state = Oscillations(torch.tensor([codes[0]]))
    rates = [state.rate.item()]
    for code in codes[1:]:
        state.update(torch.tensor([code]))
        rates.append(state.rate.item())
    return rates


def test_the_rate_of_oscillation_by_hand() -> None:
    assert follow([0, 1, 0, 1, 0]) == pytest.approx([0, 0, 0.01, 0.0199, 0.029701])
    assert follow([0, 1, 1, 0]) == pytest.approx([0, 0, 0, 0.01])  # a direction is remembered over still steps
    assert follow([0, 1, 2, 3]) == [0, 0, 0, 0]


def test_a_weight_that_oscillates_is_fixed_at_its_mean_code_and_learns_no_more() -> None:
    weight = torch.tensor([0.4, 1.2])
    quant = FreezingQuant(grid(), weight, 3, thresholds=(0.015, 0.015), steps=1).train()
    for step, value in enumerate([0.6, 0.4, 0.6, 0.4, 0.6], start=1):  # codes 0 1 0 1: rates 0, .01, .0199
        weight[0] = value
        quant.advance(weight, step)
        assert quant.frozen.tolist() == [step >= 3, False]
    assert quant.fixed[0].item() == 0  # the mean code is near 0
    assert weight[0].item() == 0.0
    x = torch.tensor([0.9, 1.2], requires_grad=True)
    quant(x).sum().backward()
    assert quant(x).tolist() == [0, 1]
    assert quant.eval()(x).tolist() == [0, 1]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1]


def test_the_threshold_falls_as_a_cosine() -> None:
    quant = FreezingQuant(grid(), torch.zeros(1), 3, thresholds=(0.1, 0.02), steps=10)
    assert [quant.threshold(s) for s in (0, 5, 10, 99)] == pytest.approx([0.1, 0.06, 0.02, 0.02])


def test_fixed_codes_move_with_a_learned_scale() -> None:
    quantizer = IterativeFreezing(QuantSpec(weight_bits=3), start=0.0, end=0.0)
    model = prepared(quantizer)
    _, site = next(sites_of(model))
    site.weight_quant.frozen.fill_(True)
    before = site.weight_quant(site.latent).clone()
    site.weight_quant.inner.step_size.data *= 2
    assert torch.allclose(site.weight_quant(site.latent), 2 * before)


def rounded(values: Tensor, draws: int) -> Tensor:
    quant = grid(StochasticQuant)
    assert isinstance(quant, StochasticQuant)
    quant.draws = Draws(0, "layer")
    quant.train()
    total = []
    for step in range(draws):
        quant.draws.advance(step)
        total.append(quant(values))
    return torch.stack(total)


def test_stochastic_rounding_has_the_weight_as_its_mean() -> None:
    values = torch.tensor([0.25, -1.4, 2.0, 5.0])
    seen = rounded(values, 4000)
    assert seen.mean(0).tolist() == pytest.approx([0.25, -1.4, 2.0, 3.0], abs=0.03)
    assert seen[:, 0].unique().tolist() == [0, 1]
    assert seen[:, 0].var().item() == pytest.approx(0.25 * 0.75, abs=0.02)


def test_stochastic_rounding_evaluates_to_the_nearest_and_masks_what_is_outside() -> None:
    quant = grid(StochasticQuant)
    assert isinstance(quant, StochasticQuant)
    quant.draws = Draws(0, "layer")
    x = torch.tensor([0.4, 0.6, 5.0], requires_grad=True)
    assert quant.eval()(x).tolist() == [0, 1, 3]
    quant.train()(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1, 0]


def test_stochastic_rounding_in_a_network_follows_the_weight() -> None:
    quantizer = StochasticRounding(QuantSpec(weight_bits=4))
    model = prepared(quantizer)
    _, site = next(sites_of(model))
    before = site.weight_quant.grid().scale.clone()
    site.latent.data *= 3
    quantizer.on_step(model, 1)
    assert torch.allclose(site.weight_quant.grid().scale, 3 * before)
    assert int(site.weight_quant.draws.steps_done) == 1


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: QuantNoise(share=0), ConfigError, "share must lie above 0"),
        (lambda: QuantNoise(base="lqs"), UnknownNameError, "no quantizer to build on named 'lqs'; did you mean 'lsq'?"),
        (lambda: QuantNoise(base="inq"), UnknownNameError, "no quantizer to build on named 'inq'"),
        (lambda: QuantNoise(base_settings={"x": 1}), ConfigError, "base_settings must be settings of lsq"),
        (lambda: Toggle(period=0), ConfigError, "period must be at least 1"),
        (lambda: IterativeFreezing(start=0.1, end=0.2), ConfigError, "thresholds must fall"),
        (lambda: IterativeFreezing(steps=0), ConfigError, "steps must be at least 1"),
        (lambda: QuantNoise(base="dorefa", averaged="keep"), ConfigError, "averaged must be one of average for dorefa"),
    ],
)
def test_what_they_refuse(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_base_refuses_for_the_method() -> None:
    reason = QuantNoise(base="pact").supports(float_net(), QuantSpec(weight_bits=5)).reason
    assert "SAWB has coefficients" in reason
