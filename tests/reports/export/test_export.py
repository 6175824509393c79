"""Every number of a run folder as one row: read back by pandas, it gives the numbers of the report's CSV files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantdg.bench.results.deployment import Bytes, Deployment, Timing, write_deployment
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.errors import MissingPackageError
from quantdg.reports.commands import export, publish
from quantdg.reports.export.numbers import COLUMNS
from quantdg.reports.report import Report

Make = Callable[..., Record]
METHOD = ["algorithm", "quantizer", "bits"]


def exported(root: Path, file: Path) -> pd.DataFrame:
    """What quantdg export writes, as pandas reads it."""
    assert export([str(root), f"--{file.suffix[1:]}", str(file)]) == 0
    return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, keep_default_na=False)


@pytest.fixture
def full(golden: RunStore, make: Make) -> RunStore:
    """The golden folder with a deployment, a weight average, a failed cell and a name like a formula."""
    record = next(r for r in golden.records() if isinstance(r, Record) and r.labels.quantizer == "lsq")
    timing = Timing(1, 2, "cpu", 1.5, 1.25, 1.75, (3.0, 2.5, 3.5), 0.5, 0.45, 0.55, 20, 5, 0.1)
    sizes = Bytes(1000, 1100, 400, 250, 200, 200, 10, 40)
    write_deployment(
        golden.root,
        Deployment(record.key, record.labels, "openvino", "integer", size=32, bytes=sizes, layers=2, integer_layers=2,
                   difference=1e-6, limit=1e-4, accuracy=0.75, stored_accuracy=0.75, changed=0, timings=(timing,)),
    )  # fmt: skip
    for seed in range(3):
        golden.write(make("art", seed, quantizer="=lsq", rows={"iid": 0.7 + seed / 30, "swad": 0.75}))
    golden.write(make("art", 0, quantizer="pact", status="failed", reason="ValueError: no"))
    return golden


def test_a_mean_over_the_rows_is_the_number_of_the_table(full: RunStore, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = exported(full.root, tmp_path / "all.parquet")
    Report.of(full.root).write(tmp_path / "report")

    def table(name: str) -> pd.DataFrame:
        return pd.read_csv(tmp_path / "report" / f"{name}-pacs-cnn-small.csv", keep_default_na=False)

    lines = table("accuracy").query("what == 'accuracy' and mean != ''")
    own = rows[(rows["metric"] == "accuracy") & (rows["status"] == "done")]
    means = 100 * own.groupby([*METHOD, "selection", "target"])["value"].mean()
    names = lines[[*METHOD, "selection", "target"]].replace("'=lsq", "=lsq")
    assert len(lines) == len(means) == 10
    np.testing.assert_allclose(
        means.loc[list(names.itertuples(index=False, name=None))], lines["mean"].astype(float), rtol=1e-15
    )
    for name, column, metric in (
        ("size", "packed_file", "size.packed_file"),
        ("audit", "noise", "audit.noise"),
        ("latency", "median_ms", "latency.median_ms"),
        ("deployed-size", "compressed_file", "deployed.compressed_file"),
        ("deployed-latency", "float_q75_ms", "deployed.float_q75_ms"),
        ("deployed-latency", "ratio", "deployed.ratio"),
        ("deployed-proof", "difference", "deployed.difference"),
    ):
        found = rows[rows["metric"] == metric].groupby(METHOD)["value"].median()
        lines = table(name)
        assert len(lines) == len(found) > 0, name
        keys = list(lines[METHOD].itertuples(index=False, name=None))
        np.testing.assert_allclose(found.loc[keys], lines[column].astype(float), rtol=1e-15, err_msg=name)


def test_a_row_says_whose_and_what_it_is(full: RunStore, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = exported(full.root, tmp_path / "all.parquet")
    assert list(rows.columns) == COLUMNS
    assert rows.dtypes[["seed", "step", "batch", "threads", "value"]].astype(str).to_list() == [
        *["Int64"] * 4,
        "float64",
    ]
    swad = rows[(rows["selection"] == "swad") & (rows["metric"] == "accuracy")].iloc[0]
    assert (swad["averaging"], swad["quantizer"], swad["value"], swad["unit"], swad["step"]) == (
        "swad",
        "=lsq",
        0.75,
        "fraction",
        50,
    )
    lsq = rows[(rows["quantizer"] == "lsq") & (rows["target"] == "sketch") & (rows["seed"] == 2)].iloc[0]
    record = RunStore(full.root).load(lsq["key"])
    assert (lsq["averaging"], lsq["torch"], lsq["commit"], lsq["cpu"]) == ("none", "2.15.0", "abc", "X")
    assert (record.labels.target, record.rows["iid"].target_in) == ("sketch", lsq["value"])
    assert '"protocol.steps": 60' in lsq["settings"]
    failed = rows[rows["quantizer"] == "pact"]
    assert len(failed) == 1 and failed["value"].isna().all()
    assert (failed["status"].item(), failed["reason"].item()) == ("failed", "ValueError: no")
    assert rows[rows["metric"] != "accuracy"]["value"].notna().all()
    timed = rows[rows["metric"] == "deployed.median_ms"].iloc[0]
    assert (timed["runtime"], timed["batch"], timed["threads"], timed["clock"], timed["unit"]) == (
        "openvino",
        1,
        2,
        "cpu",
        "ms",
    )


def test_csv_has_the_same_numbers_and_runs_nothing(full: RunStore, tmp_path: Path) -> None:
    rows = exported(full.root, tmp_path / "all.csv")
    assert list(rows.columns) == COLUMNS[:-1]
    assert "'=lsq" in set(rows["quantizer"]) and "=lsq" not in set(rows["quantizer"])
    publish([str(full.root), "--to", str(tmp_path / "out"), "--only-records"])
    assert exported(tmp_path / "out", tmp_path / "again.csv").equals(rows)
    pytest.importorskip("pyarrow")
    whole = exported(full.root, tmp_path / "all.parquet")
    assert [str(v) for v in rows["value"]] == ["" if np.isnan(v) else repr(float(v)) for v in whole["value"]]


def test_without_pyarrow_the_error_says_what_to_install(
    golden: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quantdg.reports.export.files.find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'quantdg\[export\]'; or write --csv FILE"):
        export([str(golden.root), "--parquet", str(tmp_path / "all.parquet")])
    assert len(exported(golden.root, tmp_path / "all.csv"))


def test_a_folder_without_cells_has_no_numbers(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "runs", create=True)
    frame = exported(store.root, tmp_path / "n.csv")
    assert list(frame.columns) == [column for column in COLUMNS if column != "settings"]
    assert len(frame) == 0
