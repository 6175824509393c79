"""Quantized outputs are applied where a deployed network's flatness is measured."""

import torch
from torch import nn

from quantdg.bench.flatness.network import activation_grids
from quantdg.quantizers.export import ActQuant


def test_inputs_and_outputs_are_rounded_or_clipped_within_the_context():
    net, x = nn.Sequential(nn.Identity(), nn.Identity()), torch.tensor([[-1.0, 0.26, 0.6, 9.0]])
    inputs, outputs = {"0": ActQuant(0.5, 0, -4, 3, bits=3)}, {"1": ActQuant(1.0, 0, 0, 1, bits=2)}
    with activation_grids(net, inputs, outputs, rounding=True):
        assert net(x).tolist() == [[0.0, 0.0, 0.0, 1.0]]  # -1, 0.5, 0.5, 1.5; halves go to the even code
    with activation_grids(net, inputs, outputs, rounding=False):
        torch.testing.assert_close(net(x), torch.tensor([[0.0, 0.26, 0.6, 1.0]]))
    assert torch.equal(net(x), x)
