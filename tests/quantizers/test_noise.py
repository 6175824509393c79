"""Size of the rounding noise at the start, on Gaussian weights: bits do not fix it, the method does."""

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError
from quantdg.quantizers.insertion import latent_parameter
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.pact import PACT
from quantdg.quantizers.round_freeze import RoundFreeze
from quantdg.quantizers.spec import QuantSpec
from quantdg.quantizers.torch_ao import TorchAO
from quantdg.quantizers.uniform_noise import UniformNoise


@pytest.mark.parametrize(
    "make, spec, expected",
    [
        (LSQ, QuantSpec(8, rules=()), 0.041),
        (LSQ, QuantSpec(7, rules=()), 0.058),
        (LSQ, QuantSpec(4, rules=()), 0.174),
        (LSQ, QuantSpec(2, rules=()), 0.470),
        (RoundFreeze, QuantSpec(7, rules=()), 0.058),
        (UniformNoise, QuantSpec(7, rules=()), 0.058),
        (TorchAO, QuantSpec(7, rules=()), 0.0175),
        (PACT, QuantSpec(8, 8, rules=()), 0.0094),
        (PACT, QuantSpec(7, 8, rules=()), 0.0176),
        (PACT, QuantSpec(4, 8, rules=()), 0.114),  # 15 levels with zero; the 16-level SAWB grid without it has .108
        (PACT, QuantSpec(2, 8, rules=()), 0.436),
    ],
    ids=lambda value: getattr(value, "name", getattr(value, "label", str(value))),
)
def test_relative_noise_at_the_start(make, spec, expected):
    layer = nn.Linear(4608, 64)
    layer.weight.data = 0.02 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(0))
    quantizer = make(spec)
    quantizer.prepare(model := nn.Sequential(layer), torch.ones(1, 4608))
    assert quantizer.audit(model).sites["0"].noise_to_signal == pytest.approx(expected, rel=0.03)


def noisy(seed=0, name_of_other="1"):
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    for layer in model:
        layer.weight.data = torch.arange(64.0).reshape(8, 8)
    quantizer = UniformNoise(QuantSpec(rules=()), seed=seed)
    quantizer.prepare(model, torch.ones(1, 8))
    return model, quantizer


def draw(model, index=0):
    return model[index].weight_quant(latent_parameter(model, f"{index}.weight")).detach()


def test_noise_is_a_function_of_seed_layer_and_step():
    model, quantizer = noisy()
    first = draw(model)
    assert torch.equal(first, draw(model))
    assert torch.equal(first, draw(noisy()[0]))
    assert not torch.equal(first, draw(noisy(seed=1)[0]))
    assert not torch.equal(first, draw(model, 1))
    quantizer.on_step(model, 1)
    assert not torch.equal(first, draw(model))


def test_noise_stays_within_half_a_scale_and_out_of_eval():
    model, _ = noisy()
    weight, scale = latent_parameter(model, "0.weight").detach(), model[0].weight_quant.scale
    error = (draw(model) - weight).abs()
    assert bool((error <= scale / 2 * 1.0001).all())
    assert float((error / scale).max()) > 0.4
    model.eval()
    assert torch.equal(draw(model), weight)


def test_an_amplitude_is_that_of_every_weight_whatever_the_bits():
    model = nn.Sequential(nn.Linear(100, 100, bias=False))
    quantizer = UniformNoise(QuantSpec(2, rules=()), amplitude=1e-3)
    quantizer.prepare(model.train(), torch.ones(1, 100))
    weight = latent_parameter(model, "0.weight")
    noise = (model[0].weight_quant(weight) - weight).detach().double()
    assert noise.abs().max().item() == pytest.approx(1e-3, rel=1e-2)
    assert noise.std().item() == pytest.approx(1e-3 / 3**0.5, rel=0.03)
    with pytest.raises(ConfigError, match="amplitude must be above 0 or null, got 0; write for example amplitude=1e-5"):
        UniformNoise(amplitude=0)
