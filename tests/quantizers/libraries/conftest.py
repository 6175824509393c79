"""A net trained by a library's own modules, to compare with the net that an adapter prepared."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from quantdg.quantizers.insertion import latent_parameter
from quantdg.quantizers.spec import QuantSpec

LAYERS = ("0", "2", "5")
RATE = 0.002  # small: a learned scale without a gradient factor stays positive by itself


def net():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def batch(seed, count=4):
    return torch.randn(count, 3, 10, 10, generator=torch.Generator().manual_seed(seed))


class Direct(nn.Module):
    """A layer whose weight, and input where there is a module for it, go through a library's modules."""

    def __init__(self, layer, weight_fake, act_fake=None):
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.weight_fake, self.act_fake = weight_fake, act_fake
        self.compute = F.conv2d if isinstance(layer, nn.Conv2d) else F.linear

    def forward(self, x):
        return self.compute(x if self.act_fake is None else self.act_fake(x), self.weight_fake(self.weight), self.bias)


@pytest.fixture
def direct():
    """The layer of a direct net: ``direct(layer, weight_fake, act_fake)``."""
    return Direct


@pytest.fixture
def same_as_direct(train):
    """Train both for four steps, and compare every output, weight and learned parameter bit for bit."""

    def compare(quantizer_class, spec, make_layer, *, after_first=lambda model: None, **options):
        ours = net()
        quantizer = quantizer_class(QuantSpec(*spec, rules=()), **options)
        quantizer.prepare(ours, batch(0))
        theirs = net()
        for name in LAYERS:
            theirs[int(name)] = make_layer(theirs.get_submodule(name))
        with torch.no_grad():
            theirs(batch(0))
        after_first(theirs)
        batches = [batch(step) for step in range(1, 5)]
        got = train(ours, batches, rate=RATE, after_step=lambda step: quantizer.on_step(ours, step))
        expected = train(theirs, batches, rate=RATE)
        for a, b in zip(got, expected, strict=True):
            assert torch.equal(a, b)
        for name in LAYERS:
            latent = latent_parameter(ours, f"{name}.weight")
            assert torch.equal(latent, theirs.get_parameter(f"{name}.weight"))
        learned = sum(p.requires_grad for p in theirs.parameters()) - 2 * len(LAYERS)
        assert len(quantizer.plan.parameters) == learned
        assert not torch.equal(latent, net()[5].weight)
        return ours, theirs

    return compare
