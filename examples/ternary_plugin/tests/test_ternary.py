import pytest
import torch
from quantdg_ternary import Ternary, TernaryQuant

from quantdg.quantizers.testing import QuantizerContract


class TestTernary(QuantizerContract):
    @pytest.fixture
    def make_quantizer(self):
        return Ternary


def test_values_by_hand():
    w = torch.tensor([[1.0, -2.0, 0.5, -0.1]])  # mean .9, threshold .63, mean of the two above 1.5
    assert TernaryQuant()(w).tolist() == [[1.5, -1.5, 0.0, 0.0]]
