"""Where weights lie against a grid, by hand; the share of dead ones as reported for torch 2.15's clamp."""

import pytest
import torch
from torch import Tensor

from quantdg.quantizers.edges import dead_share, grid_distance, slopes, zones
from quantdg.quantizers.export import QTensor
from quantdg.quantizers.fake_quant import FakeQuant, QParams, codes_of
from quantdg.quantizers.lsq import LSQQuant
from quantdg.quantizers.spec import integer_range

W = torch.tensor([-4.6, -4, -3.6, -3.4, 0.2, 2.4, 2.6, 3, 3.4])


class RoundThenClamp(FakeQuant):
    """The derivative of torch 2.15's clamp with numbers as bounds, whatever torch is installed: 0 on the bounds."""

    def __init__(self, scale: float, bits: int) -> None:
        super().__init__()
        self.scale, self.codes = torch.tensor(scale), integer_range(bits)

    def forward(self, x: Tensor) -> Tensor:
        v = (x / self.scale).round()
        inside = (v > self.codes.qmin) & (v < self.codes.qmax)
        out = v.clamp(*self.codes) * self.scale
        return out.detach() + torch.where(inside, x - x.detach(), 0.0)

    def qparams(self, x: Tensor | None = None) -> QParams:
        return QParams.symmetric(self.scale, self.codes)


def lsq(scale: float, bits: int) -> LSQQuant:
    quant = LSQQuant(bits)
    quant.step_size.data.fill_(scale)
    return quant


def test_the_distance_from_the_grid_by_hand() -> None:
    """v = (.25, 1.5, 4.9) and 2.3 beyond the grid of 3 bits: (.25 + .5 + .1 + .3) / 4, in scales of .5."""
    q = QParams.symmetric(torch.tensor(0.5), integer_range(3))
    assert grid_distance(0.5 * torch.tensor([0.25, 1.5, 4.9, 2.3]), q) == pytest.approx(1.15 / 4)
    between = q._replace(zero_point=torch.tensor(3.5))  # a grid without a zero: values at odd halves of the scale
    assert grid_distance(torch.tensor([0.25, -0.75]), between) == pytest.approx(0)
    assert grid_distance(torch.tensor([0.0, 0.5]), between) == pytest.approx(0.5)
    anywhere = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    assert grid_distance(anywhere, q._replace(scale=torch.tensor(0.01))) == pytest.approx(0.25, abs=0.002)
    assert grid_distance(anywhere, q._replace(levels=torch.tensor([0.0, 1.0]))) is None


def test_the_zones_of_the_reference_vector() -> None:
    where = zones(W, codes_of(lsq(1.0, 3), W, 3))
    assert where.inside.tolist() == [False, False, True, True, True, True, True, False, False]
    assert where.edge.tolist() == [False, False, True, False, False, False, True, False, False]
    assert where.beyond.tolist() == [True, False, False, False, False, False, False, False, False]


def test_the_zones_of_a_code_book() -> None:
    levels = torch.tensor([-1.0, -0.25, 0.0, 0.25, 1.0])
    w = torch.tensor([-1.5, -0.9, 0.2, 0.5, 1.3])
    q = QTensor(torch.tensor([0, 0, 3, 3, 4]), torch.tensor(1.0), torch.tensor(0.0), 3, levels=levels)
    where = zones(w, q)
    assert where.inside.tolist() == [False, True, True, True, False]
    assert where.beyond.tolist() == [True, False, False, False, False]  # 1.3 is 0.4 of the gap outside


def test_masks_of_the_reference_vector() -> None:
    assert slopes(lsq(1.0, 3), W).tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 0]
    assert slopes(RoundThenClamp(1.0, 3), W).tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]


def test_rounding_before_the_clamp_kills_a_fifth_of_normal_weights_at_two_bits() -> None:
    w = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    scale = float(2 * w.abs().mean())  # LSQ's start, Qp = 1
    q = codes_of(lsq(scale, 2), w, 2)
    dead = slopes(RoundThenClamp(scale, 2), w) == 0
    assert dead.float().mean().item() == pytest.approx(0.22, abs=0.005)
    beyond = (slopes(lsq(scale, 2), w) == 0).float().mean().item()
    assert beyond == pytest.approx(0.056, abs=0.003)
    assert dead_share(RoundThenClamp(scale, 2), w, q) == pytest.approx(0.22 - 0.056, abs=0.005)
    assert dead_share(lsq(scale, 2), w, q) == 0


def test_the_share_moves_neither_mode_nor_gradients() -> None:
    quant = lsq(1.0, 3).eval()
    dead_share(quant, W, codes_of(quant, W, 3))
    assert not quant.training
    assert quant.step_size.grad is None
