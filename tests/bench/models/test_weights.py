"""Weights: which files fit which network, what is missing or damaged, and what loads nothing."""

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from quantdg.bench.cells.dry_build import try_network
from quantdg.bench.models.timm_model import timm_model
from quantdg.bench.models.vision import vision
from quantdg.bench.models.weights import without_weights
from quantdg.core.errors import ConfigError

SMALL = ["mobilenet_v3_small", "mnasnet0_5", "squeezenet1_1"]
LARGE = ["alexnet", "vgg11", "convnext_tiny", "googlenet", "inception_v3"]


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("arch", [*SMALL, *(pytest.param(arch, marks=pytest.mark.slow) for arch in LARGE)])
def test_torchvisions_own_weights_fit_as_a_file(arch, tmp_path):
    torch.manual_seed(0)
    source = models.get_model(arch, **({"init_weights": False} if arch in ("googlenet", "inception_v3") else {}))
    state = source.state_dict()
    save_file(state, tmp_path / "w.safetensors")
    found = vision((3, 96, 96), 5, arch=arch, weights=str(tmp_path / "w.safetensors")).featurizer.state_dict()
    assert all(torch.equal(found[name], state[name]) for name in found)
    assert {name for name in state if name.split(".")[0] == "features"} <= found.keys()
    if arch in ("alexnet", "mobilenet_v3_small", "vgg11"):
        assert any(name.startswith("classifier.") for name in found)


def test_a_value_that_is_not_finite_is_refused(tmp_path):
    state = models.squeezenet1_1().state_dict()
    state["features.0.weight"][0, 0, 0, 0] = torch.nan
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=r"keys are 1 not finite: features\.0\.weight"):
        vision((3, 32, 32), 5, arch="squeezenet1_1", weights=str(tmp_path / "w.safetensors"))


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
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(b"half a file")
    with pytest.raises(ConfigError, match="looked for"):
        vision((3, 32, 32), 5, arch="mnasnet0_5", weights="IMAGENET1K_V1")


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
