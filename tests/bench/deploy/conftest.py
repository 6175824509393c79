"""Random networks with the BatchNorm of trained ones, quantized, stored and read back."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torchvision.models import squeezenet1_1

from quantdg.bench.models.base import DGModel
from quantdg.bench.models.convnet import convnet
from quantdg.bench.models.vision import vision
from quantdg.bench.packed.file import PackedModel, read_model, write_packed
from quantdg.quantizers.base import Quantizer
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.nni_qat import NNIQAT
from quantdg.quantizers.pact import PACT
from quantdg.quantizers.spec import QuantSpec
from quantdg.quantizers.torch_ao import TorchAO

QUANTIZERS: dict[str, type[Quantizer]] = {"lsq": LSQ, "pact": PACT, "torch_ao": TorchAO, "nni_qat": NNIQAT}


@dataclass
class Trained:
    """A float network, its prepared copy, the integers read back from a file, and images."""

    network: nn.Module
    prepared: nn.Module
    model: PackedModel
    images: torch.Tensor

    @property
    def shape(self):
        return tuple(self.images.shape[1:])


def random_batchnorm(network, negative):
    """Statistics and factors; the share ``negative`` of the factors is below 0, which training rarely produces."""
    generator = torch.Generator().manual_seed(0)
    for bn in network.modules():
        if isinstance(bn, nn.BatchNorm2d):
            count = bn.num_features
            bn.running_mean.copy_(0.1 * torch.randn(count, generator=generator))
            bn.running_var.copy_(0.5 + torch.rand(count, generator=generator))
            sign = torch.where(torch.rand(count, generator=generator) < negative, -1.0, 1.0)
            bn.weight.data.copy_(sign * (0.5 + torch.rand(count, generator=generator)))
            bn.bias.data.copy_(0.1 * torch.randn(count, generator=generator))
    return network.eval()


def squeezenet(shape, classes):
    return DGModel(
        nn.Sequential(squeezenet1_1(weights=None).features, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 512, classes
    )


def vit(shape, classes):
    timm = pytest.importorskip("timm")
    size = shape[1]
    return DGModel(
        timm.create_model("deit_tiny_patch16_224", num_classes=0, img_size=size, depth=2),
        n_features=192,
        classes=classes,
    )


def build(arch, shape, classes):
    if arch in ("convnet", "squeezenet", "vit"):
        return {"convnet": convnet, "squeezenet": squeezenet, "vit": vit}[arch](shape, classes)
    return vision(shape, classes, arch=arch)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """(arch, quantizer, weight bits, input bits, image side, ..., seed) -> Trained; made once a session."""
    kept: dict[tuple, Trained] = {}

    def make(
        arch="convnet",
        quantizer="lsq",
        weight_bits=7,
        act_bits=8,
        size=32,
        count=16,
        group=None,
        place="inputs",
        **options,
    ):
        if QUANTIZERS[quantizer].missing():
            pytest.skip(QUANTIZERS[quantizer].missing())
        spec = QuantSpec(
            weight_bits, act_bits, "per_group" if group else "per_channel", group_size=group, placement=place
        )
        key = (arch, quantizer, spec, size, count, *sorted(options.items()))
        if key not in kept:
            kept[key] = _make(arch, quantizer, spec, size, count, **options)
        return kept[key]

    def _make(arch, quantizer, spec, size, count, negative=1 / 6, seed=0):
        torch.manual_seed(seed)
        network = random_batchnorm(build(arch, (3, size, size), 10), negative)
        images = torch.randn(count, 3, size, size)
        prepared, method = copy.deepcopy(network), QUANTIZERS[quantizer](spec)
        method.prepare(prepared, images)
        method.calibrate(prepared, [images])
        path = tmp_path_factory.mktemp("packed") / "m.safetensors"
        state = prepared.eval().state_dict()
        floats = {n: state[n] for n in network.state_dict()}
        write_packed(path, floats, method.export(prepared), outputs=method.outputs(prepared))
        return Trained(network, prepared, read_model(path), images)

    return make
