"""Code books against published values, scipy's clustering and numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from quantdg.core.errors import ConfigError
from quantdg.quantizers.contract.toy_net import float_net
from quantdg.quantizers.inq import INQQuant
from quantdg.quantizers.k_means import KMeans, KMeansQuant, lloyd
from quantdg.quantizers.layers import sites_of
from quantdg.quantizers.levels import LevelsQuant
from quantdg.quantizers.normal_float import normal_levels
from quantdg.quantizers.power_of_two import PowerOfTwo, PowerOfTwoQuant
from quantdg.quantizers.spec import QuantSpec

# fmt: off
NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]
"""As published with QLoRA."""
# fmt: on


def test_four_bits_are_the_published_nf4() -> None:
    assert normal_levels(4).tolist() == pytest.approx(NF4, abs=1e-6)


@pytest.mark.parametrize("bits", range(2, 9))
def test_normal_levels_rise_from_minus_one_to_one_through_zero(bits: int) -> None:
    levels = normal_levels(bits)
    assert len(levels) == 2**bits
    assert (levels[1:] > levels[:-1]).all()
    assert (levels[0].item(), levels[2 ** (bits - 1) - 1].item(), levels[-1].item()) == (-1, 0, 1)


def test_values_and_gradients_of_levels_by_hand() -> None:
    levels = torch.nn.Parameter(torch.tensor([-1.0, 0.0, 0.5, 1.0]))
    quant = LevelsQuant(levels, per_channel=False)
    w = torch.tensor([2.0, 0.6, 0.4, -1.2], requires_grad=True)  # v = 1, .3, .2, -.6; edges -.5, .25, .75
    y = quant(w)
    assert y.tolist() == [2, 1, 0, -2]
    (y * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert w.grad is not None
    assert levels.grad is not None
    assert w.grad.tolist() == [1, 2, 3, 4]
    assert levels.grad.tolist() == [8, 6, 4, 2]


def test_linear_powers_of_two_are_those_that_inq_evaluates() -> None:
    w = torch.randn(6, 50, generator=torch.Generator().manual_seed(1))
    for bits in (3, 4, 7):
        inq = INQQuant(w, bits, per_channel=True).eval()
        assert torch.equal(PowerOfTwoQuant(bits, "linear", per_channel=True)(w), inq(w))


def test_log_rounding_by_hand() -> None:
    quant = PowerOfTwoQuant(4, "log", per_channel=False)  # +-1, 1/2, 1/4, 1/8 and 0
    w = torch.tensor([1.2, 0.72, 0.70, -0.36, 0.35, 0.09, -0.088])  # edges at 2^-.5 = .7071, .3536, .1768, .0884
    assert quant(w).tolist() == pytest.approx([1, 1, 0.5, -0.5, 0.25, 0.125, 0])


def test_lloyd_is_scipys_k_means() -> None:
    kmeans2 = pytest.importorskip("scipy.cluster.vq").kmeans2
    values = torch.randn(500, generator=torch.Generator().manual_seed(2))
    start = torch.linspace(-2, 2, 8)
    expected, _ = kmeans2(values.double().numpy()[:, None], start.double().numpy()[:, None], iter=15, minit="matrix")
    assert lloyd(values, start, 15).tolist() == pytest.approx(expected.flatten().tolist(), abs=1e-5)


def test_lloyd_by_hand_leaves_an_empty_level() -> None:
    values = torch.tensor([0.0, 0.1, 0.9, 1.0])
    assert lloyd(values, torch.tensor([0.0, 0.5, 1.0]), 1).tolist() == pytest.approx([0.05, 0.5, 0.95])


def test_trained_levels_stay_in_order() -> None:
    quant = KMeansQuant(torch.nn.Parameter(torch.tensor([-1.0, 0.3, 0.2, 1.0])), per_channel=False)
    quant.project()
    assert (quant.levels[1:] > quant.levels[:-1]).all()
    assert quant.levels.tolist() == pytest.approx([-1, 0.3, 0.3, 1], abs=1e-5)


def test_levels_train_only_where_they_are_asked_to() -> None:
    for learn in (True, False):
        model, quantizer = float_net(), KMeans(QuantSpec(weight_bits=3), learn=learn)
        plan = quantizer.prepare(model, torch.zeros(2, 3, 8, 8))
        assert len(plan.parameters) == (len(plan.sites) if learn else 0)
        _, site = next(sites_of(model))
        assert isinstance(site.weight_quant.levels, torch.nn.Parameter) is learn


def test_clusters_round_gaussian_weights_better_than_even_levels() -> None:
    w = torch.randn(4000, generator=torch.Generator().manual_seed(4))
    even = LevelsQuant(torch.linspace(-1, 1, 8), per_channel=False)
    clustered = LevelsQuant(lloyd(w / w.abs().max(), torch.linspace(-1, 1, 8), 50), per_channel=False)
    assert (clustered(w) - w).square().mean() < 0.5 * (even(w) - w).square().mean()


def test_what_they_refuse() -> None:
    with pytest.raises(ConfigError, match="rounding must be one of linear, log, got 'up'"):
        PowerOfTwo(rounding="up")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="iterations must be at least 0, got -1"):
        KMeans(iterations=-1)
