"""DuQ against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from quantdg.quantizers.duq import DuQQuant, inverse_softplus


def test_inverse_softplus_undoes_softplus() -> None:
    for y in (1e-8, 0.01, 0.9, 30.0):
        assert F.softplus(inverse_softplus(torch.tensor(y, dtype=torch.float64))).item() == pytest.approx(y, rel=1e-6)


def test_values_by_hand() -> None:
    quant = DuQQuant(3, ())
    w = torch.tensor([0.9, -0.3, 0.1])
    quant.start_from(w)  # a = c = .81, m = 3: v = 1.11, -.370, .123
    assert quant(w).tolist() == pytest.approx([0.81, -0.27, 0.0], abs=1e-6)


def test_gradients_by_hand() -> None:
    quant = DuQQuant(3, ())
    with torch.no_grad():
        quant.alpha.copy_(inverse_softplus(torch.tensor(0.81)))
        quant.gamma.copy_(inverse_softplus(torch.tensor(0.6)))
    w = torch.tensor([0.9, -0.3, 0.1], requires_grad=True)
    quant(w).sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == pytest.approx([0.0, 0.6 / 0.81, 0.6 / 0.81])
    slope_a, slope_c = (1 - torch.exp(-torch.tensor(y)) for y in (0.81, 0.6))  # softplus' at its inverse
    assert quant.own(w) == pytest.approx({"scale_ratio": 0.6 / 0.81})
    assert quant.gamma.grad is not None
    assert quant.alpha.grad is not None
    assert quant.gamma.grad.item() == pytest.approx((1 - 1 / 3 + 0) * slope_c.item(), rel=1e-5)
    inside = 0.6 * (0.3 - 0.1) / 0.81**2  # of -w / a^2, over the two inside
    assert quant.alpha.grad.item() == pytest.approx(inside * slope_a.item(), rel=1e-5)


def test_channels_have_scales_of_their_own() -> None:
    quant = DuQQuant(4, (2, 1))
    quant.start_from(torch.tensor([[1.0, -0.5], [0.1, 0.05]]))
    assert quant.qparams().scale.tolist() == pytest.approx([0.9 / 7, 0.09 / 7])
