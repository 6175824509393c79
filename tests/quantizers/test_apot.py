"""APoT against the published levels, the noise table and gradients worked out by hand."""

import pytest
import torch

from quantdg.quantizers.apot import APoT, APoTQuant, additive_powers
from quantdg.quantizers.contract.toy_net import float_net
from quantdg.quantizers.spec import QuantSpec


def test_the_code_books():
    assert additive_powers(2).tolist() == [-1, 0, 1]
    assert additive_powers(3).tolist() == [-1, -0.5, -0.25, 0, 0.25, 0.5, 1]
    halves = [p + q for p in (0, 1 / 2, 1 / 4, 1 / 16) for q in (0, 1 / 8)]  # the paper's sets for 4 bits
    assert additive_powers(4)[7:].tolist() == pytest.approx(sorted(v / 0.625 for v in halves))
    assert [len(additive_powers(b)) for b in (2, 3, 4, 5, 7)] == [3, 7, 15, 31, 127]


@pytest.mark.parametrize(("bits", "noise"), [(7, 0.039), (5, 0.078), (4, 0.114), (3, 0.247)])
def test_the_noise_on_gaussian_weights(bits, noise):
    w = 0.02 * torch.randn(64, 4096, generator=torch.Generator().manual_seed(0))
    error = APoTQuant(bits, ())(w) - w
    assert (error.std() / w.std()).item() == pytest.approx(noise, rel=0.03)


def test_values_and_gradients():
    w = torch.tensor([1.0, -1.0, 3.0, -3.0, 0.0], requires_grad=True)  # root mean square 2
    quant = APoTQuant(3, ())
    quant.alpha.data.fill_(1.25)  # s = 2.5: w / s = .4, -.4, 1.2, -1.2, 0
    y = quant(w)
    assert y.tolist() == pytest.approx([1.25, -1.25, 2.5, -2.5, 0])
    (y * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert w.grad.tolist() == [1, 2, 0, 0, 5]
    assert quant.alpha.grad.item() == pytest.approx(2 * (0.1 * 1 - 0.1 * 2 + 3 - 4))


def test_the_levels_of_six_bits_are_sums_of_three_sets():
    levels = additive_powers(6)
    assert len(levels) == 63
    largest = 1 + 0.5 + 2**-4  # 2^0 + 2^-1 + 2^-4
    assert levels[32].item() == pytest.approx(2**-6 / largest)
    assert levels[-2].item() == pytest.approx(1.5 / largest)
    assert levels.tolist() == sorted(levels.tolist())


def test_widths_without_published_levels_are_refused():
    reason = APoT().supports(float_net(), QuantSpec(8)).reason
    assert "levels for 2 to 7 bits, got weight_bits=8" in reason
