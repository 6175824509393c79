"""The stored model is held against the trained one layer by layer, so that depth hides nothing."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from quantdg.bench.models.vision import vision
from quantdg.bench.packed.file import PackedModel
from quantdg.bench.packed.proof import prove_packed
from quantdg.bench.packed.twin import Twin, largest_difference
from quantdg.core.errors import PackedModelError
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec
from quantdg.quantizers.torch_ao import TorchAO


class Attentive(nn.Module):
    """Patches through torch's encoder, which reads in_proj_weight and calls its layers by keyword."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)
        self.classifier = nn.Linear(16, 10)

    def forward(self, x):
        return self.classifier(self.encoder(self.patches(input=x).flatten(2).mT).mean(1))


def quantized(kind, bits, network=None):
    """(trained network, its packed model, a float network, images) of a ResNet-18."""
    torch.manual_seed(0)
    network, images = network or vision((3, 32, 32), 10, arch="resnet18"), torch.randn(8, 3, 32, 32)
    network.eval()
    trained, quantizer = copy.deepcopy(network), kind(QuantSpec(bits, bits))
    quantizer.prepare(trained, images)
    quantizer.calibrate(trained, [images])
    sites, state = quantizer.export(trained), trained.eval().state_dict()
    codes = {site.key(name) for name, site in sites.items()}
    rest = {n: state[n] for n in network.state_dict() if n not in codes}
    return trained, PackedModel(rest, sites), network, images


@pytest.mark.parametrize("kind", [LSQ, TorchAO])
@pytest.mark.parametrize("bits", [4, 8])
def test_one_shifted_grid_in_a_deep_network_is_found(kind, bits):
    trained, model, network, images = quantized(kind, bits)
    logits = prove_packed(trained, model, network, images)
    assert torch.equal(logits, trained(images).detach())
    name = list(model.sites)[10]
    act = model.sites[name].act
    site = replace(model.sites[name], act=replace(act, zero_point=act.zero_point + 0.1))
    with pytest.raises(PackedModelError, match=f"largest difference .*: {name} is off by .* of its output; export"):
        prove_packed(trained, replace(model, sites={**model.sites, name: site}), network, images)


@pytest.mark.parametrize("bits", [4, 8])
def test_attention_that_holds_its_own_weights(bits):
    trained, model, network, images = quantized(LSQ, bits, Attentive())
    names = {n for n in model.sites if n.endswith("in_proj_weight")}
    assert len(names) == 2
    prove_packed(trained, model, network, images)
    name = max(names)
    site = replace(
        model.sites[name], weight=replace(model.sites[name].weight, scale=1.01 * model.sites[name].weight.scale)
    )
    with pytest.raises(PackedModelError, match="self_attn is off by"):
        prove_packed(trained, replace(model, sites={**model.sites, name: site}), network, images)


def test_a_float_layer_behind_the_last_site_counts_too():
    trained, model, network, images = quantized(LSQ, 4)
    rest = {**model.rest, "classifier.bias": model.rest["classifier.bias"] + 0.01}
    with pytest.raises(PackedModelError, match="what follows the quantized layers is off"):
        prove_packed(trained, replace(model, rest=rest), network, images)


def test_what_last_bits_may_change_in_a_deep_network_hides_a_shifted_grid():
    """This is why the proof goes layer by layer."""
    trained, model, network, images = quantized(LSQ, 4)
    shifted = {n: replace(s, act=replace(s.act, zero_point=s.act.zero_point + 0.1)) for n, s in model.sites.items()}
    twin, other = Twin(network, model.state(), model.sites), Twin(network, model.state(), shifted)
    assert largest_difference(other.logits(images), trained(images).detach()) < twin.limit(images)


def test_logits_that_are_not_finite_fail():
    trained, model, network, images = quantized(LSQ, 8)
    trained.classifier.bias.data[0] = float("nan")
    with pytest.raises(PackedModelError, match="must be finite"):
        prove_packed(trained, model, network, images)
