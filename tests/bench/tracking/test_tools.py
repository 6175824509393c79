"""Each tool without a network, read back with its own reader; skipped where it is not installed."""

from __future__ import annotations

import struct
from importlib.util import find_spec

import pytest

from quantdg.bench.tracking.cells import tracked_cell
from quantdg.bench.tracking.tracker import open_tracker

PATH = "digits/plain/0/erm/lsq/W7"
LOSSES = [(20, 1 / 20), (40, 1 / 40), (60, 1 / 60)]


@pytest.fixture
def told(folder, tmp_path, monkeypatch):
    """The tool's name -> its folder, once it was told a cell and a report."""
    made = folder()
    made.write(PATH)
    cell = tracked_cell(made.store.load(made.key(PATH)), "0123abcd", 1e9)
    page, table = tmp_path / "index.html", tmp_path / "accuracy.csv"
    page.write_text("<!doctype html><p>page</p>")
    table.write_text("algorithm,mean\nerm,12.5\n")
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI", "TRACKIO_DIR"):
        monkeypatch.delenv(name, raising=False)

    def tell(tool):
        if find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed")
        tracker = open_tracker(tool, tmp_path / tool, "runs")
        tracker.cell(cell)
        tracker.report(page, {"accuracy": table})
        tracker.close()
        return tmp_path / tool

    return tell


def test_tensorboard_reads_curves_settings_and_tables(told):
    folder = told("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    [place] = folder.glob("digits/plain/0/erm/lsq/W7/*")
    events = EventAccumulator(str(place)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(s, pytest.approx(v)) for s, v in LOSSES]
    assert events.Scalars("final/iid/target_in")[0].value == 0.5
    assert events.Scalars("final/iid/target_in")[0].wall_time == 1e9
    assert b"| protocol.steps | 60 |" in events.Tensors("settings")[0].tensor_proto.string_val[0]
    report = EventAccumulator(str(folder / "report")).Reload()
    assert report.Tensors("tables/accuracy")[0].tensor_proto.string_val == [
        b"| algorithm | mean |\n| --- | --- |\n| erm | 12.5 |"
    ]
    assert (folder / "page.html").read_text() == "<!doctype html><p>page</p>"


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_metrics_parameters_and_artifacts(told):
    folder = told("mlflow")
    from mlflow import MlflowClient  # noqa: PLC0415

    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("runs").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert runs.keys() == {PATH, "report"}
    history = client.get_metric_history(runs[PATH].info.run_id, "train/loss")
    assert sorted((m.step, m.value) for m in history) == LOSSES
    assert runs[PATH].data.params["protocol.steps"] == "60"
    assert runs[PATH].data.tags["quantdg.quantizer"] == "lsq"
    assert (runs[PATH].data.metrics["iid/target_in"], runs[PATH].info.status) == (0.5, "FINISHED")
    artifacts = [file.path for file in client.list_artifacts(runs["report"].info.run_id)]
    assert artifacts == ["index.html", "tables"]


@pytest.mark.filterwarnings("ignore")
def test_trackio_reads_logs_and_configuration(told):
    told("trackio")
    import trackio  # noqa: PLC0415
    from trackio.sqlite_storage import SQLiteStorage  # noqa: PLC0415

    runs = {run.name: run for run in trackio.Api().runs("runs")}
    assert runs.keys() == {PATH, "report"}
    assert runs[PATH].config["protocol.steps"] == 60
    logs = SQLiteStorage.get_logs("runs", PATH)
    assert [(entry["step"], entry["train/loss"]) for entry in logs] == LOSSES
    assert logs[-1]["final/iid/target_in"] == 0.5


@pytest.mark.filterwarnings("ignore")
def test_wandb_writes_an_offline_run_that_its_own_messages_read(told):
    folder = told("wandb")
    runs = {}
    for file in folder.glob("wandb/offline-run-*/*.wandb"):
        records = list(wandb_records(file.read_bytes()))
        [name] = [record.run.display_name for record in records if record.HasField("run")]
        runs[name] = records
    assert runs.keys() == {PATH, "report"}
    history = [
        {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
        for record in runs[PATH]
        if record.HasField("history")
    ]
    assert [(int(row["_step"]), float(row["train/loss"])) for row in history] == LOSSES
    summary = {i.key: i.value_json for r in runs[PATH] if r.HasField("summary") for i in r.summary.update}
    assert float(summary["iid/target_in"]) == 0.5


def wandb_records(data):
    """Records of a file of W&B: LevelDB's log format in blocks of 32 kB behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record  # noqa: PLC0415

    place, whole = 7, b""
    while place + 7 <= len(data):
        if place % 32768 > 32768 - 7:
            place += 32768 - place % 32768
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece of one
            record = Record()
            record.ParseFromString(whole)
            whole = b""
            yield record
