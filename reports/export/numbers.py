"""One row a number: whose it is, what it is, its value and unit, and where it was computed.

The rows are what tables are made from, under the tables' names for methods: a mean over the rows of one method is the
number of its table. Trials of a search that do not count are left out, as tables leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ...bench.results.deployment import Deployment
from ...bench.results.record import HEADLINE, LAST, ORACLE, Record
from ...bench.results.store import RunStore
from ..frames.columns import METHOD, SECTION
from ..frames.record_rows import OWN, SIZES, machine_words
from ..frames.results import Results
from ..frames.variants import identity

NAMES = ["key", *SECTION, *METHOD, "averaging", "target", "seed", "selection", "status", "reason"]
MEASURE = ["metric", "value", "unit", "step", "runtime", "batch", "threads", "clock", "machine"]
PROVENANCE = {
    "created": ("created",),
    "quantdg": ("versions", "quantdg"),
    "python": ("versions", "python"),
    "torch": ("versions", "torch"),
    "commit": ("git", "commit"),
    "cpu": ("machine", "cpu"),
    "device": ("machine", "device"),
    "weights_sha256": ("final_weights_sha256",),
}
"""Column -> where a record's provenance has it."""
COLUMNS = [*NAMES, *MEASURE, *PROVENANCE, "settings"]
WHOLE = ("seed", "step", "batch", "threads")
"""Columns of whole numbers, empty where there is none; value is a float64, all others are texts."""
NO_AVERAGING = "none"
_RULES = (HEADLINE, LAST, ORACLE)
_FRACTION, _RATIO = "fraction", "ratio"
_AUDIT = {
    **dict.fromkeys(("levels",), "levels"),
    **dict.fromkeys(("saturation", "worst_saturation", "saturation_of_others", "oscillation", "dead"), _FRACTION),
    **dict.fromkeys(("noise", "worst_noise", "noise_of_others", "moved", "scale_moved", "outputs_moved"), _RATIO),
    **dict.fromkeys(("sites_moved", "sites", "quantized", "layers", "outputs", "float_outputs"), "layers"),
    "grid_distance": "scales",
}
_SHARES = ("accuracy", "stored_accuracy", "target_in")
_COUNTS = {
    "layers": "layers",
    "integer_layers": "layers",
    "folded": "layers",
    "unfolded": "layers",
    "changed": "images",
}
_LOGITS = ("difference", "limit", "noise", "fused_difference", "recorded_difference", "recorded_limit")
_MS = ("median_ms", "q25_ms", "q75_ms")
Row = dict[str, Any]


def numbers(results: Results, root: Path) -> pd.DataFrame:
    """List every number, in the order of the tables' rows.

    Args:
        results: of the run folder.
        root: the folder, of which each record's settings and provenance are read.

    Returns:
        A frame with the columns COLUMNS. A cell without a result has one row, whose value is missing.
    """
    rows = [*_accuracies(results), *_sizes(results), *_audit(results), *_curves(results), *_flatness(results)]
    rows += [*_metrics(results), *_latencies(results), *_deployed(results.deployed)]
    frame = pd.DataFrame(rows, columns=["key", "selection", *MEASURE])
    known = _cells(results)
    said = pd.DataFrame(_provenance(root), columns=["key", *PROVENANCE, "settings"]).set_index("key")
    whole = frame.join(known, on="key", how="inner").reset_index(drop=True).join(said, on="key")
    own = whole["selection"].isin(_RULES) | (whole["selection"] == "")
    whole["averaging"] = whole["selection"].where(~own, NO_AVERAGING)
    place = {key: i for i, key in enumerate(known.index)}
    order = whole["key"].map(place).sort_values(kind="stable").index
    return _typed(whole.loc[order, COLUMNS].reset_index(drop=True))


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    texts = [c for c in COLUMNS if c not in (*WHOLE, "value")]
    made = frame.copy()
    made[texts] = made[texts].astype("string").fillna("")
    return made.astype({**dict.fromkeys(WHOLE, "Int64"), "value": "float64"})


def _cells(results: Results) -> pd.DataFrame:
    names = [*SECTION, *METHOD, "target", "seed", "status", "reason"]
    return results.cells.drop_duplicates("key").set_index("key")[names]


def _row(key: str, metric: str, value: Any, unit: str, **more: Any) -> Row:
    number = math.nan if value is None else float(value)
    return {"key": key, "selection": "", "metric": metric, "value": number, "unit": unit, **more}


def _present(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows that have a number."""
    return (row for row in rows if not math.isnan(row["value"]))


def _accuracies(results: Results) -> Iterator[Row]:
    """Accuracy on the target's 80 % part, mean source validation, and the checkpoint, for each selection rule."""
    cells = results.cells
    for row in cells[cells["status"] != "done"].drop_duplicates("key").to_dict("records"):
        yield _row(row["key"], "accuracy", None, _FRACTION)
    for row in cells[cells["status"] == "done"].to_dict("records"):
        of = {"selection": row["selection"], "step": row["step"]}
        yield {**_row(row["key"], "accuracy", row["accuracy"], _FRACTION), **of}
        yield from _present([{**_row(row["key"], "source_accuracy", row["source"], _FRACTION), **of}])


def _sizes(results: Results) -> Iterator[Row]:
    for row in results.sizes.to_dict("records"):
        yield from (_row(row["key"], f"size.{name}", row[name], "bytes") for name in SIZES)


def _audit(results: Results) -> Iterator[Row]:
    own = {str(name): "" for name in results.audit if str(name).startswith(OWN)}
    for row in results.audit.to_dict("records"):
        made = (_row(row["key"], f"audit.{name}", row[name], unit) for name, unit in {**_AUDIT, **own}.items())
        yield from _present(made)


def _curves(results: Results) -> Iterator[Row]:
    units = {"source_acc": _FRACTION, "target_out": _FRACTION, "noise": _RATIO}
    for row in results.curves.to_dict("records"):
        yield from _present(
            _row(row["key"], f"curve.{name}", row[name], unit, step=_whole(row["step"])) for name, unit in units.items()
        )


def _whole(step: float) -> int | None:
    return None if math.isnan(step) else int(step)


def _flatness(results: Results) -> Iterator[Row]:
    for row in results.flatness.to_dict("records"):
        unit = "nats" if str(row["measure"]).startswith(("F(", "SAM(")) else ""
        name = f"flatness.{row['weights']}.{row['place']}.{row['measure']}"
        yield _row(row["key"], name, row["value"], unit)


def _metrics(results: Results) -> Iterator[Row]:
    for row in results.metrics.to_dict("records"):
        yield from _present([_row(row["key"], f"metric.{row['metric']}", row["value"], "")])


def _latencies(results: Results) -> Iterator[Row]:
    for row in results.latency.to_dict("records"):
        where = {"runtime": f"{row['runtime']} {row['arithmetic']}", "batch": row["batch"], "threads": row["threads"]}
        where |= {"clock": "wall", "machine": row["machine"]}
        yield from (_row(row["key"], f"latency.{name}", row[name], "ms", **where) for name in _MS)
        yield _row(row["key"], "latency.ratio", row["ratio"], _RATIO, **where)


def _deployed(deployments: Iterable[Deployment]) -> Iterator[Row]:
    """What each deployment record holds, as far as it was measured."""
    for d in deployments:
        where = {"runtime": d.runtime, "machine": machine_words(d.machine)}
        units = {**dict.fromkeys(_LOGITS, "logits"), **dict.fromkeys(_SHARES, _FRACTION), **_COUNTS}
        made = [_row(d.key, f"deployed.{name}", getattr(d, name), unit, **where) for name, unit in units.items()]
        made += [_row(d.key, f"deployed.{name}", size, "bytes", **where) for name, size in _bytes(d) if size]
        for t in d.timings:
            at = {**where, "batch": t.batch, "threads": t.threads, "clock": t.clock}
            made += [_row(d.key, f"deployed.{name}", getattr(t, name), "ms", **at) for name in _MS]
            floats = zip(_MS, t.float_ms, strict=True)
            made += [_row(d.key, f"deployed.float_{name}", value, "ms", **at) for name, value in floats]
            ratios = ("ratio", "ratio_q25", "ratio_q75")
            made += [_row(d.key, f"deployed.{name}", getattr(t, name), _RATIO, **at) for name in ratios]
        yield from _present(made)


def _bytes(d: Deployment) -> Iterable[tuple[str, int]]:
    return asdict(d.bytes).items() if d.bytes is not None else ()


def _provenance(root: Path) -> Iterator[dict[str, str]]:
    for record in RunStore(root).records():
        if isinstance(record, Record):
            found = {name: _at(record.provenance, path) for name, path in PROVENANCE.items()}
            yield {"key": record.key, **found, "settings": identity(record.settings)}


def _at(value: Any, path: tuple[str, ...]) -> str:
    for part in path:
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)
