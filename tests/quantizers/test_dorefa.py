"""Scale-preserving DoReFa against numbers worked out by hand."""

import math

import pytest
import torch

from quantdg.quantizers.dorefa import DoReFaQuant


def test_values_are_those_of_the_paper_times_the_largest_tanh():
    w = torch.tensor([1.0, 0.5, -0.1, -2.0])
    largest = math.tanh(2.0)
    paper = [2 * round(3 * (math.tanh(v) / (2 * largest) + 0.5)) / 3 - 1 for v in w.tolist()]
    assert paper == pytest.approx([1, 1 / 3, -1 / 3, -1])
    got = DoReFaQuant(2, per_channel=False)(w)
    assert got.tolist() == pytest.approx([largest * v for v in paper])


def test_the_gradient_is_that_of_tanh():
    w = torch.tensor([0.3, -1.0], requires_grad=True)
    DoReFaQuant(4, per_channel=False)(w).sum().backward()
    assert w.grad.tolist() == pytest.approx([1 - math.tanh(0.3) ** 2, 1 - math.tanh(1.0) ** 2])


def test_each_channel_has_its_own_scale():
    w = torch.tensor([[0.1, 0.05], [1.0, 0.5]])
    scales = DoReFaQuant(2, per_channel=True).scale(w).flatten()
    assert scales.tolist() == pytest.approx([2 * math.tanh(0.1) / 3, 2 * math.tanh(1.0) / 3])


def test_no_code_is_zero():
    values = DoReFaQuant(3, per_channel=False)(torch.linspace(-1, 1, 101))
    assert len(values.unique()) == 8
    assert values.abs().min().item() == pytest.approx(math.tanh(1.0) / 7)
