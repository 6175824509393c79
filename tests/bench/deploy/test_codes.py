"""Folding by hand, and what has no integer form."""

import pytest
import torch

from quantdg.bench.deploy.codes import fold, integer_reason, to_codes
from quantdg.core.errors import QuantizerError
from quantdg.quantizers.export import ActQuant, QTensor, SiteExport


def weight(values, *, zero=0.0, bits=8, axis=None, levels=None):
    codes = torch.tensor(values, dtype=torch.int16)
    shape = () if axis is None else (codes.shape[axis],)
    return QTensor(codes, torch.full(shape, 0.5), torch.full(shape, zero), bits, axis=axis, levels=levels)


def value(codes):
    shape = (-1, *[1] * (codes.values.dim() - 1))
    return (codes.values - codes.zero.reshape(shape)) * codes.scale.reshape(shape)


def test_folding_by_hand():
    codes = to_codes("fc", weight([[3, -2], [5, -127]]), torch.tensor([1.0, 2.0]))
    folded, overflow = fold(codes, torch.tensor([2.0, -3.0]).double(), torch.tensor([0.25, 0.5]).double())
    assert overflow == 0
    assert folded.values.tolist() == [[3, -2], [-5, 127]]
    assert folded.scale.tolist() == [1.0, 1.5]
    assert folded.bias.tolist() == [2.25, -5.5]


def test_folding_scales_of_groups_by_hand():
    """Two groups of two input channels; the second channel's factor is negative, so its codes and zeros change sign."""
    values = torch.tensor([[3, -2, 1, 0], [5, -127, 2, 7]], dtype=torch.int16)
    scale, zero = torch.tensor([[0.5, 2.0], [0.25, 1.0]]), torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    q = QTensor(values, scale, zero, 8, axis=0, group_size=2)
    assert q.dequantize().tolist() == [[1.5, -1.0, 0.0, -2.0], [0.75, -32.25, 2.0, 7.0]]
    folded, overflow = fold(to_codes("fc", q, None), torch.tensor([2.0, -4.0]).double(), torch.zeros(2).double())
    assert overflow == 0
    assert folded.values.tolist() == [[3, -2, 1, 0], [-5, 127, -2, -7]]
    assert folded.scale.tolist() == [[1.0, 4.0], [1.0, 4.0]]
    assert folded.zero.tolist() == [[0, 1], [-2, 0]]
    assert folded.rows.shape == (4, 2)
    dead, _ = fold(to_codes("fc", q, None), torch.tensor([0.0, 1.0]).double(), torch.tensor([4.0, 0.0]).double())
    assert (dead.scale > 0).all()
    assert dead.values.tolist() == [[0, 0, 1, 1], [5, -127, 2, 7]]


def test_minus_128_under_a_negative_factor_is_counted_and_left():
    codes = to_codes("fc", weight([[-128, 1], [4, -128]]), None)
    same, overflow = fold(codes, torch.tensor([-1.0, 1.0]).double(), torch.zeros(2).double())
    assert overflow == 1
    assert same is codes
    _, fits = fold(codes, torch.tensor([1.0, 1.0]).double(), torch.zeros(2).double())
    assert fits == 0


def test_a_factor_of_zero_leaves_a_positive_scale_and_a_zero_weight():
    codes = to_codes("fc", weight([[3, 9], [5, 7]], zero=2.0, axis=0), None)
    folded, _ = fold(codes, torch.tensor([0.0, 1.0]).double(), torch.tensor([4.0, 0.0]).double())
    assert (folded.scale > 0).all()
    assert value(folded).tolist() == [[0.0, 0.0], [1.5, 2.5]]
    assert folded.bias.tolist() == [4.0, 0.0]


@pytest.mark.parametrize(("values", "zero"), [([[0, 255], [128, 3]], 128.0), ([[-128, 127], [0, 3]], -5.0)])
def test_int8_form_keeps_every_weight(values, zero):
    q = weight(values, zero=zero)
    codes = to_codes("fc", q, None)
    assert int(codes.values.min()) >= -128
    assert int(codes.values.max()) <= 127
    assert torch.equal(value(codes).float(), q.dequantize())


@pytest.mark.parametrize(
    ("site", "reason"),
    [
        (SiteExport(weight([[0, 1]], bits=2, levels=torch.tensor([0.0, 0.5, 1.0, 4.0]))), "code book of 4 levels"),
        (SiteExport(weight([[0, 1]], axis=1)), "dimension 0, these lie along 1"),
        (SiteExport(weight([[-1, 255]])), "run from -1 to 255"),
        (SiteExport(weight([[0, 1]], zero=0.5)), "zero points must be whole"),
        (SiteExport(weight([[0, 1]], zero=300.0)), "zero points must be whole"),
        (SiteExport(weight([[0, 1]]), ActQuant(0.1, 0, -128, 200, bits=8)), "input codes must fit in 8 bits"),
    ],
)
def test_what_has_no_integer_form(site, reason):
    assert reason in integer_reason(site)


def test_a_code_book_is_refused_by_name():
    q = weight([[0, 1]], bits=2, levels=torch.tensor([0.0, 0.5, 1.0, 4.0]))
    with pytest.raises(QuantizerError, match="fc cannot run in integer arithmetic: a code book"):
        to_codes("fc", q, None)
