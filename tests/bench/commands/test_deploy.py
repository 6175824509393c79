"""Cells of a run folder through ``quantdg deploy`` and through a session."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from quantdg.bench import conf
from quantdg.bench.commands.deploy import comparison, deploy
from quantdg.bench.deploy import cell as cell_module
from quantdg.bench.deploy import openvino_
from quantdg.bench.deploy.runs import deploy_store
from quantdg.bench.experiment.deploy import DeploySettings
from quantdg.bench.experiment.offers import offers
from quantdg.bench.packed.file import read_model, write_packed
from quantdg.bench.results.deployment import Deployment, deployments
from quantdg.bench.results.files import StorageError
from quantdg.bench.results.find import find_cell
from quantdg.bench.results.loading import loading_code
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.session import run_experiment
from quantdg.bench.training.data import load_dataset
from quantdg.core import packages
from quantdg.core.errors import ConfigError, MissingPackageError, RecordError, UnknownNameError
from quantdg.quantizers.export import SiteExport

for package in ("onnx", "onnxscript", "onnxruntime", "openvino", "zstandard"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("deploy") / "runs"


@pytest.fixture
def finished(quick, kept):
    """(store, experiment, keys by quantizer and bits) of a grid of three cells, trained once and copied for each test."""
    experiment = quick("quantizer=[float,lsq]", "act_bits=[null,8]")
    if not kept.exists():
        assert run_experiment(experiment) == 0
        shutil.copytree(experiment.paths.out, kept)
    else:
        shutil.copytree(kept, experiment.paths.out)
    store = RunStore(experiment.paths.out)
    keys = {f"{r.labels.quantizer} {r.labels.bits}": r.key for r in store.records() if isinstance(r, Record)}
    return store, experiment, keys


def by_label(store):
    return {f"{d.labels.quantizer} {d.labels.bits}": d for d in deployments(store.root) if isinstance(d, Deployment)}


def test_all_cells_of_a_session(finished, monkeypatch):
    store, experiment, keys = finished
    settings = DeploySettings(batches=(1,), threads=1, rounds=7)
    seen = []
    deploy_store(store, list(keys.values()), experiment.paths, settings, lambda made, _: seen.append(made))
    got = by_label(store)
    assert {name: d.kind for name, d in got.items()} == {
        "float float": "float32",
        "lsq W7": "size only",
        "lsq W7A8": "integer",
    }
    assert len(seen) == 3
    assert all(d.same_model for d in got.values())
    assert all(d.changed == 0 and d.accuracy == d.stored_accuracy for d in got.values())
    for name, d in got.items():
        row = store.read(keys[name]).rows["iid"]
        assert (d.target_in, d.correct) == (pytest.approx(row.target_in), row.correct)
    assert [(t.batch, t.threads, t.clock) for t in got["lsq W7A8"].timings] == [(1, 1, "cpu")]
    assert got["lsq W7"].timings == ()
    assert (got["lsq W7"].integer_layers, got["lsq W7A8"].integer_layers) == (0, 3)
    assert got["lsq W7A8"].folded == 3
    monkeypatch.setattr(cell_module, "write_files", None)  # whatever ran again would fail
    deploy_store(store, list(keys.values()), experiment.paths, settings, lambda made, _: seen.append(made))
    assert len(seen) == 3


def test_one_runtime_without_its_package_leaves_the_other(finished, monkeypatch):
    store, experiment, keys = finished

    def only_onnxruntime(*packages):
        if "openvino" in packages:
            raise MissingPackageError("deployment needs openvino")

    settings = DeploySettings(("openvino", "onnxruntime"), "representatives", (1,), 1, 7)
    with monkeypatch.context() as m:
        m.setattr(openvino_, "require", only_onnxruntime)
        deploy_store(store, [keys["lsq W7A8"]], experiment.paths, settings)
    found = {d.runtime: d for d in deployments(store.root)}
    assert (found["openvino"].kind, found["onnxruntime"].kind) == ("unavailable", "integer")
    assert found["onnxruntime"].bytes.float_runtime_file > 0  # timed, so there is a float32 file beside it
    deploy_store(store, [keys["lsq W7A8"]], experiment.paths, settings)
    found = {d.runtime: d for d in deployments(store.root)}
    assert found["openvino"].kind == "integer"
    assert len(found["openvino"].timings) == 1


def test_a_control_in_float32_stands_for_nothing(finished):
    store, experiment, keys = finished
    record = store.read(keys["float float"])
    control = replace(record, key=16 * "c", labels=replace(record.labels, quantizer="freeze"))
    store.write(control)
    deploy_store(store, [record.key, control.key], experiment.paths, DeploySettings(cells="representatives"))
    assert [d.key for d in deployments(store.root)] == [record.key]


def test_sizes_are_those_of_the_files(finished):
    store, experiment, keys = finished
    deploy_store(store, [keys["lsq W7"]], experiment.paths, DeploySettings())
    sizes = by_label(store)["lsq W7"].bytes
    record = store.read(keys["lsq W7"])
    folder = store.root / "deploy"
    assert sizes.runtime_file == (folder / f"{record.key}.onnx").stat().st_size
    assert sizes.compressed_file == (folder / f"{record.key}.safetensors.zst").stat().st_size
    assert sizes.packed_file == record.sizes.packed_file
    assert (sizes.codes, sizes.scales, sizes.rest) == (record.sizes.codes, record.sizes.scales, record.sizes.rest)
    assert sizes.compressed_file < sizes.float_file


def test_a_code_book_gets_a_size_and_a_reason(finished):
    store, experiment, keys = finished
    record = store.read(keys["lsq W7"])
    model = read_model(store.model_path(record))
    sites = {
        name: SiteExport(
            replace(s.weight, codes=s.weight.codes - s.weight.codes.min(), levels=torch.linspace(-1, 1, 128))
        )
        for name, s in model.sites.items()
    }
    store_model(store, record, model.rest, sites)
    deploy_store(store, [record.key], experiment.paths, DeploySettings())
    d = by_label(store)["lsq W7"]
    assert d.kind == "not exportable"
    assert "code book of 128 levels" in d.reason
    assert d.bytes.runtime_file == 0
    assert d.bytes.scales > 3 * 128 * 4
    assert d.bytes.compressed_file > 0


def test_failures_become_records_and_are_tried_again(finished, monkeypatch):
    store, experiment, keys = finished
    key = keys["lsq W7"]
    with monkeypatch.context() as m:
        m.setattr(packages, "find_spec", lambda name: None)
        deploy_store(store, [key], experiment.paths, DeploySettings())
    first = by_label(store)["lsq W7"]
    assert (first.kind, first.bytes) == ("unavailable", None)
    assert "pip install 'quantdg[deploy]'" in first.reason
    path = store.root / store.read(key).sizes.path
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    deploy_store(store, [key], experiment.paths, DeploySettings())
    assert by_label(store)["lsq W7"].kind == "failed"
    assert "is not a packed model" in by_label(store)["lsq W7"].reason
    path.write_bytes(whole)
    deploy_store(store, [key], experiment.paths, DeploySettings())
    assert by_label(store)["lsq W7"].kind == "size only"


def test_the_command(finished, tmp_path, capsys):
    store, _, keys = finished
    out = tmp_path / "files" / "m.onnx"
    arguments = [f"{store.root}/{keys['lsq W7A8']}", "--out", str(out), "--rounds", "7", "--threads", "1"]
    assert deploy([*arguments, "--runtime", "onnxruntime"]) == 0
    text = capsys.readouterr().out
    assert out.stat().st_size > 1000
    assert "onnxruntime: integer" in text
    assert "same model, no image changes" in text
    assert "32 images of the record" in text
    assert f"{out.stat().st_size:,} bytes" in text
    assert text.count("ratio") == 2
    assert by_label(store)["lsq W7A8"].runtime == "onnxruntime"


def test_a_file_says_what_it_expects_and_the_code_shown_gives_the_recorded_logits(
    finished, tmp_path, monkeypatch, capsys
):
    image_module = pytest.importorskip("PIL.Image")
    store, experiment, keys = finished
    key = keys["lsq W7"]
    monkeypatch.chdir(tmp_path)
    assert deploy([f"{store.root}/{key}", "--out", "model.onnx", "--runtime", "onnxruntime"]) == 0
    record, dataset = store.load(key), load_dataset(experiment.setups[0].dataset, experiment.paths)
    domain = dataset.domains[dataset.index(record.labels.target)]
    place, logits = record.logits.index()[3], record.logits.array()[3]
    image_module.fromarray(domain.images[place].transpose(1, 2, 0)).save("image.png")
    code = loading_code("model.onnx")
    page = (Path(__file__).parents[3] / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert f"```python\n{code}```" in page
    assert len(code.splitlines()) <= 11
    capsys.readouterr()
    found = {}
    exec(code, found)  # noqa: S102 - that users run it is the point
    assert abs(logits - record.logits.array()[4]).max() > 1e-3  # so that the limit below tells images apart
    assert found["logits"][0] == pytest.approx(logits, abs=1e-5)
    assert capsys.readouterr().out.startswith(f"{dataset.classes[logits.argmax()]} ")
    assert json.loads(Path("model.onnx.json").read_text()) == found["about"]
    assert {name: found["about"][name] for name in ("quantizer", "bits", "record", "quantized_layers")} == {
        "quantizer": "lsq",
        "bits": "W7",
        "record": key,
        "quantized_layers": 3,
    }
    assert found["about"]["input"]["size"] == [16, 16]
    read = pytest.importorskip("openvino").Core().read_model("model.onnx")
    assert json.loads(read.get_rt_info(["framework", "classes"]).astype(str)) == list(dataset.classes)


def store_model(store, record, rest, sites):
    """Store another packed model for a record, which then counts as its own."""
    path = store.model_path(record)
    write_packed(path, rest, sites, key=record.key)
    store.write(replace(record, sizes=replace(record.sizes, checksum=read_model(path).checksum)))


def change_inputs(store, key, *, shift=0.0, factor=1.0):
    """Give every layer of a packed file another input grid."""
    model = read_model(store.model_path(store.read(key)))
    sites = {
        n: replace(s, act=replace(s.act, zero_point=s.act.zero_point + shift, scale=factor * s.act.scale))
        for n, s in model.sites.items()
    }
    store_model(store, store.read(key), model.rest, sites)


def test_the_runtime_is_held_against_the_network_that_was_trained(finished, tmp_path, capsys):
    """A file that is consistent with itself, but not with its record, is not the same model."""
    store, _, keys = finished
    change_inputs(store, keys["lsq W7A8"], factor=1.1)
    record = store.read(keys["lsq W7A8"])
    arguments = [f"{store.root}/{record.key}", "--out", str(tmp_path / "m.onnx"), "--rounds", "7", "--threads", "1"]
    assert deploy([*arguments, "--runtime", "onnxruntime"]) == 1
    d = by_label(store)["lsq W7A8"]
    assert d.difference <= d.limit
    assert d.recorded_difference > d.recorded_limit
    assert "NOT THE SAME MODEL" in capsys.readouterr().out
    store.write(replace(record, logits=None))  # of before 0.4
    assert deploy([*arguments, "--runtime", "onnxruntime"]) == 0
    assert "distance to the trained network: unknown" in capsys.readouterr().out


def test_a_zero_point_that_is_not_whole_has_no_integer_form(finished, capsys):
    store, experiment, keys = finished
    key = keys["lsq W7A8"]
    change_inputs(store, key, shift=0.34)
    deploy_store(store, [key], experiment.paths, DeploySettings())
    d = by_label(store)["lsq W7A8"]
    assert d.kind == "not exportable"
    assert (
        "zero point must be a whole number from -128 to 127 for integer arithmetic, this one is 0.34" in d.reason
        or ("zero point must be a whole number from 0 to 255 for integer arithmetic, this one is 0.34" in d.reason)
    )
    assert deploy([str(store.root / key)]) == 1
    assert "written" not in capsys.readouterr().out


def test_logits_of_a_record_that_are_not_of_its_images_are_refused(finished):
    store, experiment, keys = finished
    record = store.read(keys["lsq W7"])
    store.write(replace(record, logits=replace(record.logits, images=record.logits.images + "99999")))
    deploy_store(store, [record.key], experiment.paths, DeploySettings())
    assert "must be of images of its target" in by_label(store)["lsq W7"].reason


def test_a_changed_image_is_never_called_the_same_model_without_saying_so(finished):
    store, experiment, keys = finished
    deploy_store(store, [keys["lsq W7"]], experiment.paths, DeploySettings())
    d = by_label(store)["lsq W7"]
    assert comparison(d, Path("m")).count("same model, no image changes") == 1
    for change, said in (
        ({"images_changed": 3}, f"same model within rounding, but 3 of {d.images} images get another class"),
        ({"recorded_changed": 1}, "but 1 of 32 recorded images get another class"),
        ({"changed": 11}, "but 11 images of the target turn from right to wrong or back"),
    ):
        assert said in comparison(replace(d, **change), Path("m"))


def test_the_ending_of_the_file_must_fit_the_runtime(finished, tmp_path):
    store, _, keys = finished
    cases = {"executorch": "m.onnx", "openvino": "m.pte", "onnxruntime": "m.tflite"}
    for runtime, name in cases.items():
        ending = ".pte" if runtime == "executorch" else ".onnx"
        with pytest.raises(ConfigError, match=rf"a file for {runtime} must end in {ending}, got .*{name}; write --out"):
            deploy([f"{store.root}/{keys['lsq W7A8']}", "--runtime", runtime, "--out", str(tmp_path / name)])


def test_finding_a_cell(finished):
    store, _, keys = finished
    key = keys["lsq W7A8"]
    for text in (f"{store.root}/{key}", f"{store.root}/{key[:10]}", f"{store.root}/cells/{key}.json"):
        assert find_cell(text)[1].key == key
    for name in ("zz1", "zz2"):
        (store.root / "cells" / f"{name}.json").write_text("{}")
    with pytest.raises(RecordError, match="names 2: zz1 damaged, zz2 damaged; write more of one"):
        find_cell(f"{store.root}/zz")
    with pytest.raises(RecordError, match="is not a whole record"):
        find_cell(f"{store.root}/zz1")
    with pytest.raises(RecordError, match="names none of"):
        find_cell(f"{store.root}/yy")
    with pytest.raises(RecordError, match="one cell is wanted"):
        find_cell(str(store.root))
    with pytest.raises(RecordError, match=r"none has run\.json"):
        find_cell(str(store.root.parent / "nowhere" / key))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"runtimes": ("openvin",)}, UnknownNameError, "did you mean 'openvino'"),
        ({"runtimes": ()}, UnknownNameError, "openvino"),
        ({"cells": "some"}, ConfigError, r"deploy\.cells must be one of all, representatives"),
        ({"batches": ()}, ConfigError, r"deploy\.batches must be numbers above 0"),
        ({"rounds": 3}, ConfigError, r"deploy\.rounds must be at least 7"),
        ({"threads": 0}, ConfigError, r"deploy\.threads from 1 to 1024"),
    ],
)
def test_settings_out_of_range(options, error, message):
    with pytest.raises(error, match=message):
        DeploySettings(**options)


def test_every_configuration_file_gives_settings():
    files = sorted((Path(conf.__file__).parent / "deploy").glob("*.yaml"))
    settings = {f.stem: DeploySettings(**OmegaConf.to_container(OmegaConf.load(f))) for f in files}
    assert all(settings[name].runtimes == (name,) for name in offers("runtime"))
    assert settings["quick"].cells == "representatives"


def _caused(error):
    try:
        raise RuntimeError("export failed") from error
    except RuntimeError as made:
        return made


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        _caused(OSError(errno.EDQUOT, "Disk quota exceeded")),
        RuntimeError("c10::Error: write failed: No space left on device"),
        StorageError("cannot write to x (No space left on device); free some space and run the same command again"),
    ],
)
def test_a_full_disk_stops_the_deployment_and_is_no_result(finished, monkeypatch, error):
    store, experiment, keys = finished
    shutil.rmtree(store.root / "deploy", ignore_errors=True)
    monkeypatch.setattr("quantdg.bench.deploy.files.export_onnx", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(StorageError, match=r"cannot write to .*free some space and run the same command again"):
        deploy_store(store, [keys["lsq W7A8"]], experiment.paths, DeploySettings())
    with pytest.raises(StorageError, match=r"cannot write to .*free some space"):
        deploy([f"{store.root}/{keys['lsq W7A8']}"])
    assert not by_label(store)
    monkeypatch.undo()
    monkeypatch.setattr("quantdg.bench.deploy.files.export_onnx", lambda *_: (_ for _ in ()).throw(ValueError("odd")))
    deploy_store(store, [keys["lsq W7A8"]], experiment.paths, DeploySettings())
    assert by_label(store)["lsq W7A8"].kind == "failed"
