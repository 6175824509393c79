"""Shapes, key names, loading and what the shared weights can do."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models

from quantdg.bench.models.base import NORMALISATIONS
from quantdg.bench.models.mnist_cnn import mnist_cnn
from quantdg.bench.models.mobilenet_v1 import MobileNetV1, SameConv2d, mobilenet_v1
from quantdg.bench.models.timm_model import timm_model
from quantdg.bench.models.vision import vision
from quantdg.core.errors import ConfigError, MissingPackageError, UnknownNameError
from quantdg.datasets.augment import normalise
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec, Rule

SHARED = Path(__file__).parents[3].parent / "shared"
WEIGHTS = Path(os.environ.get("QUANTDG_WEIGHTS") or SHARED / "weights")
DATA = Path(os.environ.get("QUANTDG_DATA") or SHARED / "data")
MOBILENET = WEIGHTS / "mobilenetv1_100_imagenet_trunc.safetensors"
SQUEEZENET = WEIGHTS / "squeezenet1_1_imagenet_features.safetensors"
needs_weights = pytest.mark.skipif(not MOBILENET.exists(), reason="no shared weights; set QUANTDG_WEIGHTS")
needs_pacs = pytest.mark.skipif(not (DATA / "PACS").exists(), reason="no PACS; set QUANTDG_DATA")


def test_mnist_cnn_is_domainbeds():
    network = mnist_cnn((2, 28, 28), 2)
    kinds = [type(m).__name__ for m in network.featurizer]
    assert kinds == [*("Conv2d", "ReLU", "GroupNorm") * 4, "AdaptiveAvgPool2d", "Flatten"]
    convolutions = [m for m in network.featurizer if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.stride[0], c.padding[0]) for c in convolutions] == [
        (2, 64, 1, 1),
        (64, 128, 2, 1),
        (128, 128, 1, 1),
        (128, 128, 1, 1),
    ]
    assert all(c.bias is not None for c in convolutions)
    assert {m.num_groups for m in network.featurizer if isinstance(m, nn.GroupNorm)} == {8}
    assert network(torch.rand(3, 2, 28, 28)).shape == (3, 2)


def test_same_padding_puts_the_odd_pixel_right_and_below():
    layer = SameConv2d(1, 1, 3, 2, bias=False)
    nn.init.ones_(layer.weight)
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0] = 1.0
    # output (0, 0) sees rows and columns 0..2: nothing is padded on the left of an even image
    assert layer(x).flatten().tolist() == [1, 0, 0, 0]
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 1, 1] = 1.0
    # an odd image is padded by one on each side, so (0, 0) sees 0..1 and (1, 1) sees 1..3
    assert layer(x).flatten().tolist() == [1, 1, 0, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (8, 9)])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_is_the_same_by_the_convolution_and_by_a_padded_copy(size: tuple[int, int], stride: int):
    layer = SameConv2d(4, 4, 3, stride, groups=4)
    x = torch.randn(2, 4, *size).contiguous(memory_format=torch.channels_last)
    height, width = (-(-n // stride) * stride - stride + 3 - n for n in size)
    padded = nn.functional.pad(x, [width // 2, width - width // 2, height // 2, height - height // 2])
    assert torch.equal(layer(x), nn.functional.conv2d(padded, layer.weight, layer.bias, stride, groups=4))


def test_mobilenet_v1_has_thirteen_blocks_and_the_published_size():
    network = mobilenet_v1((3, 64, 64), 7)
    # Howard et al. count 4.2 million parameters with a classifier of 1000 classes (1,025,000)
    assert sum(p.numel() for p in network.featurizer.parameters()) + 1_025_000 == 4_231_976
    assert sum(len(stage) for stage in network.featurizer.blocks) == 13
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 7)
    short = mobilenet_v1((3, 64, 64), 7, blocks=3)
    assert short.classifier.in_features == 128
    assert short(torch.rand(2, 3, 64, 64)).shape == (2, 7)
    with pytest.raises(ConfigError, match=r"model\.blocks must be 1 to 13, got 14"):
        mobilenet_v1((3, 64, 64), 7, blocks=14)
    with pytest.raises(ConfigError, match="needs 3 channels, the data set has 1"):
        mobilenet_v1((1, 64, 64), 7)


@needs_weights
def test_mobilenet_v1_equals_timms_with_the_shared_weights():
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("mobilenetv1_100", num_classes=0, pad_type="same", bn_eps=1e-3).eval()
    assert set(MobileNetV1().state_dict()) == set(theirs.state_dict())
    del theirs.blocks[4][1]
    theirs.load_state_dict(load_file(MOBILENET))
    ours = mobilenet_v1((3, 97, 97), 7, blocks=12, weights=str(MOBILENET)).eval()
    x = torch.rand(2, 3, 97, 97, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(ours.featurizer(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize(
    ("arch", "width"), [("resnet18", 512), ("mobilenet_v2", 1280), ("squeezenet1_1", 512), ("vit_b_16", 768)]
)
def test_torchvision_networks_keep_torchvisions_keys_and_end_in_features(arch, width):
    network = vision((3, 32, 32), 5, arch=arch)
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    assert network.classifier.in_features == width
    assert set(network.featurizer.state_dict()) < set(models.get_model(arch).state_dict())
    for name in network.stages:
        network.featurizer.get_submodule(name)
    assert bool(network.stages) == (arch != "vit_b_16")


def test_a_vision_transformer_takes_the_size_of_the_data():
    with pytest.raises(ConfigError, match="multiples of the patch"):
        vision((3, 33, 33), 5, arch="vit_b_16")


def test_weights_from_a_file_load_whole_and_leave_the_classifier_out(tmp_path, monkeypatch):
    source = models.resnet18()
    save_file(source.state_dict(), tmp_path / "r.safetensors")
    network = vision((3, 32, 32), 5, arch="resnet18", weights=str(tmp_path / "r.safetensors"))
    expected = {n: t for n, t in source.state_dict().items() if not n.startswith("fc.")}
    found = network.featurizer.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[n], expected[n]) for n in found)
    monkeypatch.setenv("QUANTDG_WEIGHTS", str(tmp_path))
    again = vision((3, 32, 32), 5, arch="resnet18", weights="r.safetensors")
    assert torch.equal(again.featurizer.conv1.weight, source.conv1.weight)
    assert again.inputs is None


def test_weights_that_do_not_fit_are_listed(tmp_path):
    state = {n: t for n, t in models.resnet18().state_dict().items() if n != "layer1.0.bn1.weight"}
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    state["more.weight"] = torch.zeros(1)
    save_file(state, tmp_path / "r.safetensors")
    with pytest.raises(ConfigError) as caught:
        vision((3, 32, 32), 5, arch="resnet18", weights=str(tmp_path / "r.safetensors"))
    message = str(caught.value)
    assert "1 missing: layer1.0.bn1.weight" in message
    assert "1 unexpected: more.weight" in message
    assert "1 of another shape: conv1.weight (64, 1, 7, 7) for (64, 3, 7, 7)" in message


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("none.safetensors", "must name an existing file, found none at none.safetensors"),
        ("IMAGENET", "its weights are IMAGENET1K_V1"),
    ],
)
def test_weights_that_do_not_exist(weights, message, monkeypatch):
    monkeypatch.delenv("QUANTDG_WEIGHTS", raising=False)
    with pytest.raises(ConfigError, match=message):
        vision((3, 32, 32), 5, arch="resnet18", weights=weights)


def test_a_damaged_file_is_said_to_be_one(tmp_path):
    (tmp_path / "r.safetensors").write_bytes(b"<html>not found</html>")
    with pytest.raises(ConfigError, match="must be a safetensors file"):
        vision((3, 32, 32), 5, arch="resnet18", weights=str(tmp_path / "r.safetensors"))


def test_timm_models_and_what_is_said_without_timm(monkeypatch):
    pytest.importorskip("timm")
    network = timm_model((2, 32, 32), 5, arch="mobilenetv3_small_050")
    assert network(torch.rand(2, 2, 32, 32)).shape == (2, 5)
    with pytest.raises(UnknownNameError, match="did you mean 'resnet18'"):
        timm_model((3, 32, 32), 5, arch="resnet18x")
    with pytest.raises(UnknownNameError, match=r"no timm weights named 'resnet18\.other'"):
        timm_model((3, 32, 32), 5, arch="resnet18", weights="other")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'quantdg\[timm\]'"):
        timm_model((3, 32, 32), 5, arch="resnet18")


def test_normalisations_map_the_range_of_pixels():
    ends = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    tf, caffe = (normalise(ends, n.mean, n.std) for n in (NORMALISATIONS["tf"], NORMALISATIONS["caffe"]))
    assert tf[:, 0].flatten().tolist() == [-1, 1]
    assert torch.allclose(caffe[:, :, 0, 0], torch.tensor([[-123.68, -116.779, -103.939], [131.32, 138.221, 151.061]]))
    assert mobilenet_v1((3, 32, 32), 2).inputs == NORMALISATIONS["tf"]
    assert vision((3, 32, 32), 2, arch="resnet18", inputs="caffe").inputs == NORMALISATIONS["caffe"]
    with pytest.raises(UnknownNameError, match="no input normalisation named 'cafe'; did you mean 'caffe'"):
        vision((3, 32, 32), 2, arch="resnet18", inputs="cafe")


@pytest.mark.parametrize("build", [mnist_cnn, mobilenet_v1])
def test_new_networks_can_be_quantized(build):
    network = build((3, 32, 32), 4)
    example = torch.rand(2, 3, 32, 32)
    quantizer = LSQ(QuantSpec(weight_bits=4, act_bits=8, rules=(Rule("classifier*", skip=True),)))
    plan = quantizer.prepare(network, example)
    layers = [m for m in network.featurizer.modules() if isinstance(m, nn.Conv2d)]
    assert len(plan.sites) == len(layers)
    assert network(example).isfinite().all()


def pacs(domain, per_class):
    """(images (N, 3, 96, 96) in 0..1, labels): the first images of each class."""
    images, labels = [], []
    for label, folder in enumerate(sorted((DATA / "PACS" / domain).iterdir())):
        for path in sorted(folder.iterdir())[:per_class]:
            pixels = np.asarray(Image.open(path).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR))
            images.append(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
            labels.append(label)
    return torch.stack(images).float() / 255, torch.tensor(labels)


@needs_weights
@needs_pacs
@pytest.mark.parametrize(
    ("build", "weights"),
    [
        (lambda w: mobilenet_v1((3, 96, 96), 7, blocks=12, weights=w), MOBILENET),
        (lambda w: vision((3, 96, 96), 7, arch="squeezenet1_1", weights=w, inputs="caffe"), SQUEEZENET),
    ],
)
def test_shared_weights_give_informative_features(build, weights):
    def accuracy(network):
        inputs = network.inputs

        def features(x):
            with torch.no_grad():
                out = network.featurizer(normalise(x, inputs.mean, inputs.std))
            return (out - out.mean(0)) / (out.std(0) + 1e-6)

        x, y = pacs("photo", 20)
        train, test = torch.arange(len(y)) % 2 == 0, torch.arange(len(y)) % 2 == 1
        f = features(x)
        centres = torch.stack([f[train & (y == k)].mean(0) for k in range(7)])
        return float((torch.cdist(f[test], centres).argmin(1) == y[test]).float().mean())

    torch.manual_seed(0)
    trained = accuracy(build(str(weights)).eval())
    assert trained > 0.6  # nearest mean of ten photographs a class; chance is 1/7
    untrained = build(str(weights)).eval()
    for p in untrained.featurizer.parameters():
        if p.dim() > 1:
            nn.init.kaiming_normal_(p)
    assert accuracy(untrained) < trained - 0.2
