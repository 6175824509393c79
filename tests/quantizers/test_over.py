"""Methods over another quantizer's grid: Quant-Noise, toggling, freezing, annealing, penalties; stochastic rounding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from quantdg.core.errors import ConfigError, UnknownNameError
from quantdg.quantizers.base import Quantizer
from quantdg.quantizers.cga import CGA, AnnealingQuant
from quantdg.quantizers.contract.toy_net import float_net
from quantdg.quantizers.draws import Draws
from quantdg.quantizers.grid_pull import GridPull, PulledQuant
from quantdg.quantizers.iterative_freezing import FreezingQuant, IterativeFreezing
from quantdg.quantizers.kure import KURE, kurtosis
from quantdg.quantizers.layers import sites_of
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.min_max import MinMaxQuant
from quantdg.quantizers.oscillation import Oscillations
from quantdg.quantizers.over import base_class, bases
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


@pytest.mark.parametrize("base", sorted(bases()))
def test_every_base_is_named_so_and_evaluates_the_same_under_a_method(base: str) -> None:
    assert base_class(base).name == base
    spec = QuantSpec(weight_bits=4, act_bits=8 if base == "pact" else None)
    plain, over = prepared(base_class(base)(spec)).eval(), prepared(QuantNoise(spec, base=base, share=0.5)).eval()
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(plain(x), over(x))


@pytest.mark.parametrize("base", sorted(bases()))
def test_an_audit_in_training_moves_no_range_of_the_base(base: str) -> None:
    quantizer = QuantNoise(QuantSpec(weight_bits=4, act_bits=8 if base == "pact" else None), base=base)
    model = prepared(quantizer).train()
    _, site = next(sites_of(model))
    site.latent.data *= 2  # an observing base would follow
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quantizer.audit(model)
    quantizer.export(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in site.weight_quant.modules())


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
    seen, shares = [], []
    assert quant.own(x) == {}
    for step in range(1, 8):
        seen.append(quant(x).item())
        quant.advance(x, step)
        shares.append(quant.own(x)["quantized"])
    assert seen == pytest.approx([0, 0, 0.4, 0.4, 0, 0, 0.4])
    assert shares == pytest.approx([1, 1, 2 / 3, 1 / 2, 3 / 5, 4 / 6, 4 / 7])
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
    rate = (0.0199 * 0.99 + 0.01) * 0.99  # fixing the code turned it once more, then it rests
    assert quant.own(torch.zeros(2)) == pytest.approx({"frozen": 0.5, "rate": rate / 2})
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
        quant.draws.count(step)
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


def test_the_pull_by_hand() -> None:
    quant = PulledQuant(grid(), ramp=0, train_float=False)
    w = torch.tensor([0.4, 1.3, 9.0], requires_grad=True)
    far = quant.distance(w)
    assert far.sum().item() == pytest.approx(0.25)
    far.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == pytest.approx([0.8, 0.6, 0.0])


def test_the_pull_rises_over_its_ramp() -> None:
    quant = PulledQuant(grid(), ramp=4, train_float=False)
    w = torch.tensor([0.4])
    seen = []
    for step in range(1, 6):
        seen.append(quant.distance(w).item() / 0.16)
        quant.advance(w, step)
    assert seen == pytest.approx([0, 0.1464466, 0.5, 0.8535534, 1], abs=1e-5)


def test_the_pull_away_has_osciquants_gradient_and_trains_in_float() -> None:
    w = torch.tensor([0.4, 1.3, 2.4], requires_grad=True)  # inside the grid of scale 1
    quant = grid()
    released = (quant(w).square() - w.square()).sum()  # OsciQuant's term, its quantizer straight through
    (expected,) = torch.autograd.grad(released, w)
    (got,) = torch.autograd.grad(-PulledQuant(quant, ramp=0, train_float=True).distance(w).sum(), w)
    assert got.tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert PulledQuant(quant, ramp=0, train_float=True).train()(w).tolist() == w.tolist()


@pytest.mark.parametrize(("sign", "end"), [(1, 0.0), (-1, 0.5)])
def test_a_large_pull_ends_on_levels_and_with_the_other_sign_between_them(sign: int, end: float) -> None:
    w = torch.linspace(-3.9, 2.9, 41, requires_grad=True)
    quant = PulledQuant(grid(), ramp=0, train_float=False)
    (first,) = torch.autograd.grad(quant.distance(w).sum(), w)
    (other,) = torch.autograd.grad(-quant.distance(w).sum(), w)
    assert torch.equal(first, -other)
    optimizer = torch.optim.SGD([w], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        (sign * quant.distance(w).sum()).backward()
        optimizer.step()
    w = w.detach()
    assert ((w - w.round()).abs() - end).abs().mean().item() < 0.03


def test_the_penalties_are_sums_and_means_over_layers() -> None:
    spec = QuantSpec(weight_bits=3)
    total, mean = GridPull(spec, weight=2.0), GridPull(spec, weight=2.0, aggregate="mean")
    model = prepared(total)
    by_hand = [site.weight_quant.distance(site.latent) for _, site in sites_of(model)]
    got = total.penalty(model)
    assert got is not None
    assert got.item() == pytest.approx(2 * sum(d.sum().item() for d in by_hand), rel=1e-5)
    got = mean.penalty(model)
    assert got is not None
    assert got.item() == pytest.approx(2 * sum(d.mean().item() for d in by_hand), rel=1e-5)
    kure = KURE(spec, weight=3.0)
    got = kure.penalty(model)
    assert got is not None
    terms = [(kurtosis(site.latent).item() - 1.8) ** 2 for _, site in sites_of(model)]
    assert got.item() == pytest.approx(3 * sum(terms) / len(terms), rel=1e-5)


def test_the_kurtosis_by_hand() -> None:
    w = torch.tensor([1.0, 1.0, -1.0, -1.0])
    assert kurtosis(w).item() == pytest.approx(0.5625)  # unbiased deviation: (3/4)^2
    assert (kurtosis(w) - 1.8).square().item() == pytest.approx(1.5314063)
    uniform = torch.linspace(-1, 1, 100_001)
    assert kurtosis(uniform).item() == pytest.approx(1.8, abs=1e-3)
    for equal in (torch.ones(3, requires_grad=True), torch.ones(1, 1, 1, requires_grad=True)):
        (kurtosis(equal) + 0 * equal.sum()).backward()
        assert kurtosis(equal).item() == 0
        assert torch.isfinite(equal.grad).all()  # of one weight the deviation is undefined
    normal = torch.randn(12, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(kurtosis, (normal.requires_grad_(),))


def test_the_audit_has_the_kurtosis_of_each_layer() -> None:
    kure = KURE(QuantSpec(weight_bits=3), base="min_max")
    model = prepared(kure)
    weights = [site.latent for _, site in sites_of(model)]
    # of k even values from -1 to 1 it is 9/5 (1 - (4/3)/(k^2 - 1)), of the signs 1
    for n, weight in enumerate(weights):
        even = torch.linspace(-1, 1, weight.numel())
        weight.data.copy_((even if n else even.sign()).reshape(weight.shape))
    seen = [site.own["kurtosis"] for site in kure.audit(model).sites.values()]
    unbiased = [(1 - 1 / weight.numel()) ** 2 for weight in weights]
    even = [1.8 * (1 - 4 / 3 / (weight.numel() ** 2 - 1)) for weight in weights]
    assert seen == pytest.approx([b * k for b, k in zip(unbiased, [1, *even[1:]], strict=True)], rel=1e-5)
    assert seen[-1] == pytest.approx(1.8, rel=0.05)


def test_annealing_frees_only_weights_near_an_edge_between_codes_in_use() -> None:
    weight = torch.tensor([0.502, 0.49, -2.0, 1.0, 1.499])
    quant = AnnealingQuant(grid(), weight, start=0, margin=0.005).train()
    assert quant.free.tolist() == [True, False, False, False, False]  # 1.499 rounds to 1, the highest code in use
    assert quant.own(weight) == pytest.approx({"free": 0.2})
    x = weight.clone().requires_grad_()
    quant(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 0, 0, 0, 0]


def test_annealing_puts_back_what_stands_still_and_waits_for_its_start() -> None:
    weight = torch.tensor([0.5, 0.3, -2.0, 2.0])
    quant = AnnealingQuant(grid(), weight, start=2, margin=0.005).train()
    weight += 0.1
    quant.advance(weight, 1)
    assert weight.tolist() == pytest.approx([0.6, 0.4, -1.9, 2.1])
    weight -= 0.1
    quant.advance(weight, 2)  # annealing begins: .5 is free
    weight += 0.1
    quant.advance(weight, 3)
    assert weight.tolist() == pytest.approx([0.6, 0.3, -2.0, 2.0])


@pytest.mark.parametrize("base", sorted(bases()))
def test_annealing_takes_uniform_grids_alone(base: str) -> None:
    reason = (
        CGA(base=base).supports(float_net(), QuantSpec(weight_bits=4, act_bits=8 if base == "pact" else None)).reason
    )
    uniform = base not in ("apot", "power_of_two", "normal_float", "k_means", "dorefa")
    assert ("needs a uniform grid" in reason) is not uniform


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: QuantNoise(share=0), ConfigError, "share must lie above 0"),
        (lambda: QuantNoise(base="lqs"), UnknownNameError, "no quantizer to build on named 'lqs'; did you mean 'lsq'?"),
        (lambda: QuantNoise(base="inq"), UnknownNameError, "no quantizer to build on named 'inq'"),
        (lambda: QuantNoise(base_settings={"x": 1}), ConfigError, "base_settings must be settings of lsq"),
        (lambda: Toggle(period=0), ConfigError, "period must be at least 1"),
        (lambda: IterativeFreezing(start=0.1, end=0.2), ConfigError, "thresholds must fall"),
        (lambda: GridPull(aggregate="median"), ConfigError, "aggregate must be one of sum, mean, got 'median'"),
        (lambda: GridPull(ramp=-1), ConfigError, "ramp must be at least 0"),
        (lambda: KURE(target=0.5), ConfigError, "target at least 1, got 1.0 and 0.5"),
        (lambda: CGA(margin=0), ConfigError, "margin above 0 to 0.5"),
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
