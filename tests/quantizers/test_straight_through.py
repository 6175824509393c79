"""Straight-through with and without the mask, by hand and over every base."""

import pytest
import torch

from quantdg.quantizers.edges import slopes, zones
from quantdg.quantizers.fake_quant import codes_of
from quantdg.quantizers.lsq import LSQQuant
from quantdg.quantizers.over import bases
from quantdg.quantizers.spec import QuantSpec, SiteSpec
from quantdg.quantizers.straight_through import StraightThrough, StraightThroughQuant

W = torch.tensor([-4.6, -4, -3.6, 0.2, 2.6, 3, 3.4])


def lsq() -> LSQQuant:
    quant = LSQQuant(3)
    quant.step_size.data.fill_(1.0)
    return quant


@pytest.mark.parametrize(("clip_mask", "expected"), [(True, [0, 1, 1, 1, 1, 1, 0]), (False, [1] * 7)])
def test_the_mask_by_hand(clip_mask: bool, expected: list[int]) -> None:
    quant = StraightThroughQuant(lsq(), clip_mask=clip_mask)
    assert slopes(quant, W).tolist() == expected
    assert torch.equal(quant(W), lsq()(W))


def test_the_scale_learns_as_the_bases_does() -> None:
    gradients = []
    for quant in (lsq(), StraightThroughQuant(lsq(), clip_mask=False)):
        quant(W).sum().backward()
        (scale,) = quant.parameters()
        gradients.append(scale.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("base", sorted(bases()))
@pytest.mark.parametrize("clip_mask", [True, False])
def test_over_every_base(base: str, clip_mask: bool) -> None:
    w = torch.randn(4, 300, generator=torch.Generator().manual_seed(0))
    spec = QuantSpec(2, 8 if base == "pact" else None)
    quantizer = StraightThrough(spec, base=base, clip_mask=clip_mask)
    quant = quantizer.weight_quantizer(w, SiteSpec("layer", 2, spec.act_bits, "per_channel", symmetric=True))
    where, found = zones(w, codes_of(quant, w, 2)), slopes(quant, w)
    assert (found[where.inside] > 0).all()
    outside = ~where.inside
    assert set(found[outside].tolist()) <= ({0.0, 1.0} if clip_mask else {1.0} | set(found[where.inside].tolist()))
    assert (found[where.beyond] == (0 if clip_mask else 1)).all()
    assert torch.equal(quant.eval()(w), quant.inner.eval()(w))
