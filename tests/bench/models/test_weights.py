"""Weights: which files fit which network, what is missing or damaged, and what loads nothing."""

import hashlib
import os
import pickle
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from quantdg.bench.cells.dry_build import try_network
from quantdg.bench.models.timm_model import timm_model
from quantdg.bench.models.vision import vision
from quantdg.bench.models.weights import check_published, load_backbone, without_weights
from quantdg.core.errors import ConfigError

SMALL = ["mobilenet_v3_small", "mnasnet0_5", "squeezenet1_1"]
LARGE = ["alexnet", "vgg11", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet"]
LARGE += ["inception_v3", "maxvit_t", "regnet_y_400mf", "shufflenet_v2_x0_5", "swin_t", "swin_v2_t", "vit_b_32"]
SIDES = {"maxvit_t": 224}


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("arch", [*SMALL, *(pytest.param(arch, marks=pytest.mark.slow) for arch in LARGE)])
def test_torchvisions_own_weights_fit_as_a_file(arch, tmp_path):
    torch.manual_seed(0)
    source = models.get_model(arch, **({"init_weights": False} if arch in ("googlenet", "inception_v3") else {}))
    state = source.state_dict()
    save_file(state, tmp_path / "w.safetensors")
    side = SIDES.get(arch, 96)
    if arch == "vit_b_32":
        state["encoder.pos_embedding"] = state["encoder.pos_embedding"][:, : 1 + (side // 32) ** 2].clone()
        save_file(state, tmp_path / "w.safetensors")
    found = vision((3, side, side), 5, arch=arch, weights=str(tmp_path / "w.safetensors")).featurizer.state_dict()
    assert all(torch.equal(found[name], state[name]) for name in found)
    assert {name for name in state if name.split(".")[0] == "features"} <= found.keys()
    if arch in ("alexnet", "mobilenet_v3_small", "vgg11"):
        assert any(name.startswith("classifier.") for name in found)


@pytest.mark.parametrize(
    ("value", "dtype", "wrong"),
    [
        (torch.nan, torch.float32, "1 not finite: 0.weight;"),
        (torch.inf, torch.float32, "1 not finite: 0.weight;"),
        (-torch.inf, torch.float16, "1 not finite: 0.weight;"),
        (1e300, torch.float64, "1 not finite: 0.weight;"),
        (7, torch.int8, "1 of another kind of number: 0.weight torch.int8 for torch.float32;"),
        (1j, torch.complex64, "1 of another kind of number: 0.weight torch.complex64 for torch.float32;"),
    ],
)
def test_a_number_that_the_network_cannot_hold_is_refused(value, dtype, wrong, tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    state = {**network.state_dict(), "0.weight": network[0].weight.detach().to(dtype)}
    state["0.weight"][0, 0, 0, 0] = value
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=f"keys are {re.escape(wrong)}"):
        load_backbone(network, str(tmp_path / "w.safetensors"))


def test_smaller_numbers_and_a_classifier_that_is_left_out_may_be_anything(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    state = {name: t.to(torch.float16) for name, t in network.state_dict().items()}
    save_file({**state, "fc.weight": torch.full((2, 2), torch.nan)}, tmp_path / "w.safetensors")
    load_backbone(network, str(tmp_path / "w.safetensors"))
    assert torch.equal(network[0].weight, state["0.weight"].float())


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["deit_tiny_distilled_patch16_224", "inception_v4", "volo_d1_224", "levit_128s"])
def test_timms_own_weights_fit_as_a_file_whatever_the_classifiers_are_called(arch, tmp_path):
    timm = pytest.importorskip("timm")
    state = timm.create_model(arch).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    found = timm_model((3, 224, 224), 5, arch=arch, weights=str(tmp_path / "w.safetensors")).featurizer.state_dict()
    assert all(torch.equal(found[name], state[name]) for name in found)


def test_weights_of_torchvision_that_are_not_there_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(ConfigError) as caught:
        vision((3, 32, 32), 5, arch="mnasnet0_5", weights="IMAGENET1K_V1")
    message = str(caught.value)
    place = tmp_path / "checkpoints" / "mnasnet0.5_top1_67.823-3ffadce67e.pth"
    assert f"looked for {place} (OSError: no route to host)" in message
    assert "run once with a network, copy the file there, or write model.weights=FILE.safetensors" in message
    assert "\n" not in message
    place.mkdir(parents=True)
    with pytest.raises(ConfigError, match="looked for"):
        vision((3, 32, 32), 5, arch="mnasnet0_5", weights="IMAGENET1K_V1")


class Opening:
    """A pickle of it creates a file."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return open, (str(self.place), "w")


def test_a_damaged_file_in_torchs_cache_is_named_and_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    place = tmp_path / "checkpoints" / "mnasnet0.5_top1_67.823-3ffadce67e.pth"
    place.parent.mkdir()
    for content in (b"", b"half a file", pickle.dumps(Opening(tmp_path / "run"))):
        place.write_bytes(content)
        with pytest.raises(
            ConfigError, match=rf"{place} is damaged \(its SHA-256 begins with \w+\); remove it and run"
        ) as e:
            vision((3, 32, 32), 5, arch="mnasnet0_5", weights="IMAGENET1K_V1")
        assert "\n" not in str(e.value)
    assert not (tmp_path / "run").exists()
    with without_weights():
        vision((3, 32, 32), 5, arch="mnasnet0_5", weights="IMAGENET1K_V1")


def test_a_file_that_is_what_its_name_says_is_taken(tmp_path):
    place = tmp_path / f"net-{hashlib.sha256(b'whole').hexdigest()[:8]}.pth"
    place.write_bytes(b"whole")
    check_published("V1", "net", place)
    place.write_bytes(b"other")
    with pytest.raises(ConfigError, match="of net must be as published"):
        check_published("V1", "net", place)
    check_published("V1", "net", tmp_path / "net.pth")


def test_a_plan_needs_no_weights(monkeypatch):
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *args, **kwargs: pytest.fail("it loads"))
    with without_weights():
        network = vision((3, 32, 32), 5, arch="mnasnet0_5", weights="IMAGENET1K_V1")
        assert network.inputs is not None
        with pytest.raises(ConfigError, match="its weights are IMAGENET1K_V1"):
            vision((3, 32, 32), 5, arch="mnasnet0_5", weights="IMAGENET1K_V9")


def test_timm_without_a_network_is_one_line(tmp_path):
    pytest.importorskip("timm")
    code = (
        "from quantdg.bench.models.timm_model import timm_model\n"
        "timm_model((3, 32, 32), 5, arch='resnet10t', weights='c3_in1k')"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    last = found.stderr.strip().splitlines()[-1]
    assert "model.weights=c3_in1k of resnet10t.c3_in1k must be on disk or downloadable" in last
    assert f"looked for timm/resnet10t.c3_in1k below {tmp_path}" in last


@pytest.mark.parametrize("arch", ["vit_tiny_patch16_224", "mixer_s32_224"])
def test_timm_networks_of_one_size_take_the_datas_or_are_refused(arch):
    pytest.importorskip("timm")
    assert timm_model((3, 64, 64), 5, arch=arch)(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    with pytest.raises(ConfigError, match=r"for images of 224 x 224 and cannot be built for 8 x 8|must run on images"):
        try_network(timm_model((3, 8, 8), 5, arch=arch), (3, 8, 8))
