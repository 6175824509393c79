"""StatsQ and N2UQ: the published levels, both gradients, and that the two grids are one."""

from __future__ import annotations

import pytest
import torch

from quantdg.core.errors import ConfigError
from quantdg.quantizers.statsq import StatsQ, StatsQuant


@pytest.mark.parametrize(("bits", "expected"), [(2, [0.2, -0.2, 0.6, -0.6]), (3, [0.1, -0.3, 0.5, -0.7])])
def test_values_by_hand(bits: int, expected: list[float]) -> None:
    w = torch.tensor([0.1, -0.3, 0.5, -0.7])  # E|w| = .4, clip .8
    assert StatsQuant(bits, "statsq", per_channel=False)(w).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_levels_are_n2uqs(bits: int) -> None:
    w = torch.randn(40_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    factor = (2**bits - 1) / 2 ** (bits - 1) * w.abs().mean()
    v = (w / factor).clamp(-1, 1)  # N2UQ: 2^b even levels from -1 to 1 in units of that factor
    n2uq = factor * (2 * torch.round((v + 1) / 2 * (2**bits - 1)) / (2**bits - 1) - 1)
    found = StatsQuant(bits, "n2uq", per_channel=False)(w)
    assert torch.isclose(found, n2uq, atol=1e-9).double().mean() > 0.9999  # all but ties of the two roundings


def test_gradients() -> None:
    w = torch.tensor([[0.1, -0.3, 0.5, -0.7], [1.0, 1.0, 1.0, 1.0]])
    for backward, slopes in (("statsq", [1.0, 1.0]), ("n2uq", [1 / (1.5 * 0.4), 1 / 1.5])):
        x = w.clone().requires_grad_()
        StatsQuant(2, backward, per_channel=True)(x).sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [pytest.approx([slope] * 4) for slope in slopes]


@pytest.mark.parametrize(("lr", "least", "most"), [(1e-4, 0, 0.01), (1e-2, 0.02, 0.2)])
def test_adam_takes_the_difference_of_both_gradients_out_while_the_mean_weight_stands(
    lr: float, least: float, most: float
) -> None:
    draw = torch.Generator().manual_seed(0)
    start, x, wanted = (torch.randn(*shape, generator=draw) for shape in ((4, 8), (64, 8), (64, 4)))
    ends = []
    for backward in ("statsq", "n2uq"):
        quant, w = StatsQuant(4, backward, per_channel=True), start.clone().requires_grad_()
        optimizer = torch.optim.Adam([w], lr=lr)
        for _ in range(50):
            optimizer.zero_grad()
            (x @ quant(w).T - wanted).square().mean().backward()
            optimizer.step()
        ends.append(w.detach())
    assert least <= ((ends[1] - ends[0]).norm() / (ends[0] - start).norm()).item() < most


def test_no_level_is_zero_and_the_zero_point_lies_between_two_codes() -> None:
    quant = StatsQuant(3, "statsq", per_channel=False)
    w = torch.linspace(-1, 1, 201)
    assert len(quant(w).unique()) == 8
    assert quant.qparams(w).zero_point.item() == 3.5
    codes = quant(w) / quant.qparams(w).scale + 3.5
    assert torch.allclose(codes, codes.round(), atol=1e-5)


def test_what_it_refuses() -> None:
    with pytest.raises(ConfigError, match="backward must be one of statsq, n2uq, got 'ste'"):
        StatsQ(backward="ste")  # pyright: ignore[reportArgumentType]
