"""DeiT-S and CLIP ViT-B/16: nothing stays float silently, files of other names and sizes, and what a frozen BatchNorm is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.grid import Experiment
from quantdg.bench.experiment.protocol import without_batchnorm
from quantdg.bench.models.base import NORMALISATIONS
from quantdg.bench.models.timm_model import _as_timms, timm_model
from quantdg.bench.models.weights import load_backbone
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.rerun import RerunPolicy
from quantdg.bench.sweep.session import plan_run, run_experiment
from quantdg.quantizers.insertion import sites_of
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec

timm = pytest.importorskip("timm", reason="timm is not installed; pip install 'quantdg[timm]'")
CLIP = partial(
    timm.create_model, "vit_base_patch16_clip_quickgelu_224", embed_dim=32, depth=2, num_heads=4, num_classes=0
)


@pytest.mark.parametrize(("name", "inputs"), [("deit_small", "imagenet"), ("clip_vit_b_16", "clip")])
def test_every_layer_but_the_classifier_is_quantized_in_weight_and_input(name: str, inputs: str) -> None:
    chosen = config.load([f"model={name}"]).setups[0].model
    with torch.device("meta"):
        structure = chosen.build((3, 32, 32), 5)
    layers = {n for n, m in structure.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d)) and n != "classifier"}
    assert len(layers) == 1 + 12 * 4  # the patches; query, key and value, projection and two of the MLP of each block
    assert structure.inputs == NORMALISATIONS[inputs]
    assert without_batchnorm(structure, "frozen").startswith("this network has no BatchNorm, so protocol.bn=frozen")
    if name == "deit_small":
        network = structure.to_empty(device="cpu")
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.02)
        plan = LSQ(QuantSpec(4, 8)).prepare(network, torch.rand(2, 3, 32, 32))
        assert {site.name for site in plan.sites} == dict(sites_of(network)).keys() == layers
        assert not plan.float_inputs


class _Block(nn.Module):
    """CLIP's residual block as its paper and code describe it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(OrderedDict(c_fc=nn.Linear(width, 4 * width), c_proj=nn.Linear(4 * width, width)))

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        y = self.mlp.c_fc(self.ln_2(x))
        return x + self.mlp.c_proj(y * torch.sigmoid(1.702 * y))  # type: ignore[no-any-return]


class _Visual(nn.Module):
    """CLIP's image tower under OpenAI's names, before its projection."""

    def __init__(self, width: int = 32, tokens: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 16, 16, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn(tokens, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.Module()
        self.transformer.resblocks = nn.Sequential(_Block(width, 4), _Block(width, 4))
        self.proj = nn.Parameter(torch.randn(width, 16))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        return self.ln_post(self.transformer.resblocks(self.ln_pre(x))[:, 0])  # type: ignore[no-any-return,operator]


@pytest.fixture
def clip_file(tmp_path: Path) -> tuple[_Visual, Path]:
    """A small CLIP with random weights, and its file with a text tower as OpenCLIP saves it."""
    torch.manual_seed(0)
    visual = _Visual().eval()
    for norm in (m for m in visual.modules() if isinstance(m, nn.LayerNorm)):
        nn.init.normal_(norm.weight)
    state = {f"visual.{name}": tensor for name, tensor in visual.state_dict().items()}
    save_file({**state, "text_projection": torch.zeros(2), "logit_scale": torch.zeros(1)}, tmp_path / "c.safetensors")
    return visual, tmp_path / "c.safetensors"


def test_a_file_of_clip_gives_the_features_of_its_image_tower(clip_file: tuple[_Visual, Path]) -> None:
    visual, file = clip_file
    network = CLIP(img_size=32).eval()
    load_backbone(network, str(file), partial(_as_timms, network))
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(network(x), visual(x), atol=1e-5)
        assert not torch.allclose(CLIP(img_size=32).eval()(x), visual(x), atol=1e-1)


def test_position_embeddings_are_interpolated_to_the_size_of_the_data(clip_file: tuple[_Visual, Path]) -> None:
    visual, file = clip_file
    network = CLIP(img_size=64).eval()
    load_backbone(network, str(file), partial(_as_timms, network))
    found, own = network.state_dict()["pos_embed"][0], visual.positional_embedding
    assert found.shape == (17, 32)
    assert torch.equal(found[0], own[0])  # the class token has no place
    assert torch.allclose(found[1:].mean(0), own[1:].mean(0), atol=0.1)


def test_a_file_of_deit_may_be_of_another_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = timm.create_model("deit_tiny_patch16_224", img_size=48)
    save_file(source.state_dict(), tmp_path / "d.safetensors")
    made = timm_model((3, 48, 48), 5, arch="deit_tiny_patch16_224", weights=str(tmp_path / "d.safetensors"))
    x = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        assert torch.equal(
            made.eval().featurizer(x), source.eval().forward_head(source.forward_features(x), pre_logits=True)
        )
    other = timm_model((3, 64, 64), 5, arch="deit_tiny_patch16_224", weights=str(tmp_path / "d.safetensors"))
    assert other.featurizer.pos_embed.shape == (1, 17, 192)  # type: ignore[union-attr]


def test_plan_and_record_say_that_there_is_no_batchnorm_to_freeze(quick: Callable[..., Experiment]) -> None:
    words = ["model=mnist_cnn", "~model.width", "quantizer=[lsq]", "averaging=[]", "protocol.bn=frozen"]
    words += ["dataset._target_=tests.bench.sweep.tiny.load"]
    words += ["protocol.steps=2", "protocol.start_step=1", "protocol.check_every=1", "protocol.calibration_batches=1"]
    experiment = quick(*words)
    assert any(note.startswith("this network has no BatchNorm") for note in plan_run(experiment, RerunPolicy()).notes)
    assert run_experiment(experiment) == 0
    (record,) = RunStore(experiment.paths.out).records()
    assert record.plan["bn"].startswith("this network has no BatchNorm, so protocol.bn=frozen")  # type: ignore[union-attr]
    assert without_batchnorm(nn.BatchNorm2d(3), "frozen") == ""
