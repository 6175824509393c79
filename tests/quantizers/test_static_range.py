"""Min-max, MSE and percentile against torch.ao's observers, numpy, brute force and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.ao.quantization.observer import MinMaxObserver, PerChannelMinMaxObserver

from quantdg.core.errors import ConfigError
from quantdg.quantizers.contract.toy_net import float_net
from quantdg.quantizers.layers import sites_of
from quantdg.quantizers.min_max import MinMax, MinMaxQuant
from quantdg.quantizers.mse import FACTORS, MSE, MSEQuant
from quantdg.quantizers.percentile import Percentile, PercentileQuant
from quantdg.quantizers.spec import IntegerRange, QuantSpec, integer_range
from quantdg.quantizers.static_range import Grid, Range, grid_of

PLAIN = {"gradient": "clipped", "scale_factor": 1.0}


def weights(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)) + 0.3


@pytest.mark.parametrize("bits", [2, 4, 7, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
def test_min_max_is_torch_aos_observer_and_fake_quantize(bits: int, symmetric: bool, per_channel: bool) -> None:
    w, codes = weights(5, 40), integer_range(bits)
    scheme = getattr(torch, f"per_{'channel' if per_channel else 'tensor'}_{'symmetric' if symmetric else 'affine'}")
    kind = PerChannelMinMaxObserver if per_channel else MinMaxObserver
    observer = kind(dtype=torch.qint8, qscheme=scheme, quant_min=codes.qmin, quant_max=codes.qmax)
    observer(w)
    scale, zero = observer.calculate_qparams()
    quant = MinMaxQuant(codes, (5, 1) if per_channel else (), symmetric=symmetric, **PLAIN)
    quant.observe(w)
    q = quant.qparams()
    assert torch.allclose(q.scale, scale.reshape(q.scale.shape), rtol=1e-6)
    assert torch.equal(q.zero_point, zero.reshape(q.zero_point.shape).float())
    if per_channel:
        expected = torch.fake_quantize_per_channel_affine(w, scale, zero.int(), 0, *codes)
    else:
        expected = torch.fake_quantize_per_tensor_affine(w, scale, zero.int(), *codes)
    assert torch.allclose(quant(w), expected, atol=1e-6)


def test_values_and_gradients_of_both_estimators() -> None:
    w = torch.tensor([-2.0, -0.9, 0.4, 1.6, 2.0])  # 2 bit narrow, symmetric: s = 2, v = -1, -.45, .2, .8, 1
    for gradient, expected in (("clipped", [1, 1, 1, 1, 1]), ("straight", [1, 1, 1, 1, 1])):
        x = w.clone().requires_grad_()
        quant = MinMaxQuant(IntegerRange(-1, 1), (), symmetric=True, gradient=gradient, scale_factor=1.0)
        quant.observe(x)
        y = quant(x)
        assert y.tolist() == [-2, 0, 0, 2, 2]
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == expected
    half = MinMaxQuant(IntegerRange(-1, 1), (), symmetric=True, gradient="clipped", scale_factor=0.5)
    x = w.clone().requires_grad_()
    half.observe(x)  # s = 1: v = -2, -.9, .4, 1.6, 2
    half(x).sum().backward()
    assert half(x).tolist() == [-1, -1, 0, 1, 1]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 0, 0]


def test_a_weight_inside_the_range_that_rounds_to_the_outermost_code_learns() -> None:
    quant = MinMaxQuant(IntegerRange(-4, 3), (), symmetric=True, **PLAIN)
    quant.low.fill_(-3.5)
    quant.high.fill_(3.5)  # s = 1
    x = torch.tensor([-4.6, -4.0, -3.6, -3.4, 0.2, 2.4, 2.6, 3.0, 3.4], requires_grad=True)
    quant(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 0]


def test_an_affine_grid_by_hand() -> None:
    grid = grid_of(Range(torch.tensor(-0.5), torch.tensor(1.0)), IntegerRange(0, 3), symmetric=False)
    assert (grid.scale.item(), grid.zero_point.item()) == (0.5, 1.0)
    assert grid.round(torch.tensor([-0.6, -0.2, 0.3, 0.8, 2.0])).tolist() == [-0.5, 0, 0.5, 1.0, 1.0]
    positive = grid_of(Range(torch.tensor(2.0), torch.tensor(6.0)), IntegerRange(0, 3), symmetric=False)
    assert (positive.scale.item(), positive.zero_point.item()) == (2.0, 0.0)  # 0 stays representable


def test_percentile_is_numpys_inverted_cdf() -> None:
    w = weights(4, 1001)
    quant = PercentileQuant(integer_range(4), (4, 1), share=0.99, symmetric=True, **PLAIN)
    expected = np.quantile(w.abs().numpy(), 0.99, axis=1, method="inverted_cdf")
    assert quant.range_of(w).high.flatten().tolist() == expected.tolist()
    affine = PercentileQuant(integer_range(4), (), share=0.9, symmetric=False, **PLAIN)
    low, high = (np.quantile(w.numpy(), q, method="inverted_cdf").item() for q in (0.1, 0.9))
    assert affine.range_of(w) == (low, high)


@pytest.mark.parametrize("power", [2.0, 2.4])
@pytest.mark.parametrize("symmetric", [True, False])
def test_mse_is_the_best_of_all_factors(power: float, symmetric: bool) -> None:
    w, codes = weights(3, 64), integer_range(3)
    found = MSEQuant(codes, (3, 1), power=power, symmetric=symmetric, **PLAIN).range_of(w)
    for row, low, high in zip(w.double(), found.low.flatten(), found.high.flatten(), strict=True):
        errors = []
        for factor in FACTORS:
            ends = Range(factor * row.min(), factor * row.max())
            errors.append(float((grid_of(ends, codes, symmetric=symmetric).round(row) - row).abs().pow(power).mean()))
        best = FACTORS[int(np.argmin(errors))]
        assert (low.item(), high.item()) == pytest.approx((best * row.min().item(), best * row.max().item()))


def test_mse_by_hand() -> None:
    w = torch.tensor([1.0, 1.0, 1.0, -1.0, 2.2])  # codes -1, 0, 1
    quant = MSEQuant(IntegerRange(-1, 1), (), power=2.0, symmetric=True, **PLAIN)
    quant.observe(w)
    # s < 2 rounds all to +-s: error 4 (s - 1)^2 + (2.2 - s)^2, least (1.152) at s = 1.24, next to .56 * 2.2; s = 2.2 gives 4
    assert quant.qparams().scale.item() == pytest.approx(0.56 * 2.2)


@pytest.mark.parametrize(("kind", "changes"), [(MinMax, True), (Percentile, True), (MSE, False)])
def test_ranges_of_weights_follow_them_where_they_are_refreshed(kind: type, changes: bool) -> None:
    torch.manual_seed(0)
    model, quantizer = float_net(), kind(QuantSpec(weight_bits=4))
    quantizer.prepare(model, torch.randn(2, 3, 8, 8))
    name, site = next(sites_of(model))
    before = site.weight_quant.qparams().scale.clone()
    site.latent.data *= 2
    quantizer.on_step(model, 1)
    assert torch.allclose(site.weight_quant.qparams().scale, before * (2 if changes else 1)), name


def test_inputs_keep_the_extremes_or_the_mean_of_the_batches() -> None:
    batches = [torch.tensor([-1.0, 3.0]), torch.tensor([-3.0, 1.0])]
    extremes = MinMaxQuant(integer_range(8, signed=False), (), symmetric=False, **PLAIN)
    mean = PercentileQuant(integer_range(8, signed=False), (), share=1.0, symmetric=False, **PLAIN)
    for batch in batches:
        extremes.observe(batch)
        mean.observe(batch)
    assert (extremes.low.item(), extremes.high.item()) == (-3, 3)
    assert (mean.low.item(), mean.high.item()) == (-2, 2)


def test_narrow_codes_leave_out_the_lowest() -> None:
    model = float_net()
    plan = MinMax(QuantSpec(weight_bits=4), narrow=True).prepare(model, torch.zeros(2, 3, 8, 8))
    site = model.get_submodule(plan.sites[0].name)
    assert site.weight_quant.qparams()[2:4] == (-7, 7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MinMax(refresh=-1), "refresh must be at least 0, got -1"),
        (lambda: MinMax(gradient="soft"), "gradient must be one of clipped, straight, got 'soft'"),
        (lambda: Percentile(share=0.5), "share must lie above 0.5"),
        (lambda: MSE(power=0), "power must be above 0"),
    ],
)
def test_what_they_refuse(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_grid_keeps_zero() -> None:
    assert Grid(torch.tensor(0.3), torch.tensor(2.0), IntegerRange(0, 3)).round(torch.zeros(1)).item() == 0
