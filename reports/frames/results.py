"""A run folder as tidy data frames; the records themselves are not kept in memory."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ...bench.results.deployment import Deployment, deployments
from ...bench.results.record import Record
from ...bench.results.store import RunStore, Unreadable
from ...core.errors import RecordError
from .columns import METHOD, ROW, SECTION, Section, ordered
from .deployments import with_labels
from .flatness_rows import FLATNESS, flatness_rows
from .record_rows import (
    AUDIT,
    CURVE,
    LATENCY,
    SIZES,
    audit_row,
    curve_rows,
    latency_row,
    provenance_items,
    size_row,
)
from .roles import Roles
from .variants import distinguish, identity

CELL = [*SECTION, *ROW, "target", "seed", "status", "reason", "accuracy", "step", "key"]
UNKNOWN_SELECTION = "any"


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything a report uses.

    Attributes:
        cells: one row per (cell, selection rule), columns CELL; ``accuracy`` is on the target's 80 % part,
            0 to 1, NaN where the cell is not done; the rows of such a cell are those its peers have.
        sizes, audit, latency: one row per cell or measurement that has them.
        curves: one row per cell and checkpoint: key, step, source_acc, target_out (0 to 1), noise.
        flatness: one row per cell and measure.
        deployed: what `quantdg deploy` stored, under the labels of this report.
        roles: of the quantizers, by their labels here.
        problems: (file relative to the run folder, reason) of what could not be used.
        provenance: (path, value) -> number of records.
        protocols: (protocol's label, setting, value) of everything the protocols fix.
    """

    cells: pd.DataFrame
    sizes: pd.DataFrame
    audit: pd.DataFrame
    latency: pd.DataFrame
    curves: pd.DataFrame
    flatness: pd.DataFrame
    roles: Roles
    deployed: tuple[Deployment, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    provenance: Counter[tuple[str, str]] = field(default_factory=Counter)
    protocols: tuple[tuple[str, str, str], ...] = ()

    def sections(self) -> Iterator[tuple[Section, pd.DataFrame]]:
        """The cells of each (data set, model, protocol): averages never cross these."""
        for (dataset, model, protocol), group in self.cells.groupby(SECTION, sort=True):
            yield (str(dataset), str(model), str(protocol)), group.reset_index(drop=True)


def _labels(record: Record) -> dict[str, Any]:
    labels = record.labels
    names = {c: str(getattr(labels, c)) for c in (*SECTION, "algorithm", "quantizer", "bits", "target")}
    said = {"role": record.role, "meaning": record.meaning}
    return {**names, "seed": int(labels.seed), "key": str(record.key), "form": identity(record.settings), **said}


def _rows(record: Record) -> list[dict[str, Any]]:
    if record.status != "done":
        return [{"selection": None, "accuracy": math.nan, "step": -1}]
    if not record.rows:
        raise RecordError("a done record must have a row, but this one has none; run the cell again")
    for rule, row in record.rows.items():
        if not 0 <= row.target_in <= 1:
            raise RecordError(f"target_in must be from 0 to 1, got {row.target_in!r} in row {rule!r}; run it again")
    return [{"selection": str(rule), "accuracy": r.target_in, "step": r.step} for rule, r in record.rows.items()]


class _Reader:
    """Collects row dictionaries, one record at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cells: list[dict[str, Any]] = []
        self.sizes: list[dict[str, Any]] = []
        self.audit: list[dict[str, Any]] = []
        self.latency: list[dict[str, Any]] = []
        self.curves: list[tuple[str, float, float, float, float]] = []
        self.flatness: list[dict[str, Any]] = []
        self.deployed: list[Deployment] = []
        self.problems: list[tuple[str, str]] = []
        self.provenance: Counter[tuple[str, str]] = Counter()
        self._seen: dict[str, tuple[Any, ...]] = {}

    def problem(self, path: Path, reason: str) -> None:
        name = path.relative_to(self.root).as_posix()
        self.problems.append((name, reason.replace(f"{self.root.as_posix()}/", "")))

    def add(self, record: Record) -> None:
        path = self.root / "cells" / f"{record.key}.json"
        try:
            labels, rows = _labels(record), _rows(record)
            result = (record.status, *((row["selection"], row["accuracy"]) for row in rows if row["selection"]))
            seen = self._seen.get(labels["key"])
            if seen is not None:
                if seen != result:
                    raise RecordError("two files hold this key with different results; the first one counts")
                return
            self._seen[labels["key"]] = result
            known = {"status": record.status, "reason": str(record.reason)}
            self.cells += [{**labels, **known, **row} for row in rows]
            self.sizes += size_row(record)
            self.audit += audit_row(record)
            self.curves += curve_rows(record)
            self.flatness += flatness_rows(record)
            self.provenance.update(provenance_items(record.provenance))
        except (RecordError, TypeError, ValueError, AttributeError, KeyError) as error:
            self.problem(path, str(error))


def _expand(cells: pd.DataFrame) -> pd.DataFrame:
    """One row per selection rule for the cells that have no result."""
    done = cells[cells["selection"].notna()]
    empty = cells[cells["selection"].isna()].drop(columns="selection")
    if empty.empty:
        return cells
    rules = done[[*SECTION, "algorithm", "selection"]].drop_duplicates()
    anywhere = done[[*SECTION, "selection"]].drop_duplicates()
    near = empty.merge(rules, on=[*SECTION, "algorithm"], how="left")
    far = near[near["selection"].isna()].drop(columns="selection").merge(anywhere, on=SECTION, how="left")
    far["selection"] = far["selection"].astype(object).fillna(UNKNOWN_SELECTION)
    return pd.concat([done, near[near["selection"].notna()], far], ignore_index=True)


def load(root: Path) -> Results:
    """Read a run folder.

    Raises:
        RecordError: ``root`` is no run folder, was written with another schema, or holds two cells
            that cannot be told apart.
    """
    store, reader = RunStore(root), _Reader(root)
    for record in store.records():
        if isinstance(record, Unreadable):
            reader.problem(record.path, record.reason)
        else:
            reader.add(record)
    for latency in store.latencies():
        if isinstance(latency, Unreadable):
            reader.problem(latency.path, latency.reason)
        else:
            reader.latency.append(latency_row(latency))
    for deployment in deployments(root):
        if isinstance(deployment, Unreadable):
            reader.problem(deployment.path, deployment.reason)
        else:
            reader.deployed.append(deployment)
    return _results(reader)


def _protocols(cells: pd.DataFrame) -> tuple[tuple[str, str, str], ...]:
    """What each protocol fixes, from the settings, and the backbone's weights; sorted."""
    found = {
        (protocol, path.rpartition(".")[2], str(value))
        for protocol, form in cells[["protocol", "form"]].drop_duplicates().itertuples(index=False)
        for path, value in json.loads(form).items()
        if path.startswith("protocol.") or path == "model.options.weights"
    }
    return tuple(sorted(found))


def _results(reader: _Reader) -> Results:
    raw = pd.DataFrame(reader.cells, columns=[*CELL, "form", "role", "meaning"])
    named = distinguish(raw)
    names = named.drop_duplicates("key").set_index("key")[[*SECTION, "algorithm", "quantizer", "bits"]]
    roles = Roles.of(named[["quantizer", "role", "meaning"]].itertuples(index=False, name=None))
    cells = ordered(_expand(named)[CELL], roles)
    twice = cells[cells.duplicated([*SECTION, *ROW, "target", "seed"], keep=False)]
    if len(twice):
        keys = ", ".join(sorted(twice["key"].unique())[:2])
        raise RecordError(f"a cell must be there once, but {keys} have the same labels and settings; remove one file")

    def labelled(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
        return ordered(pd.DataFrame(rows, columns=["key", *columns]).join(names, on="key"), roles)

    latency = pd.DataFrame(reader.latency, columns=[*SECTION, *METHOD, *LATENCY])
    if len(latency):
        relabelled = latency[["key"]].join(names, on="key")
        latency = relabelled.combine_first(latency)[[*SECTION, *METHOD, *LATENCY]]
    return Results(
        cells=cells,
        sizes=labelled(reader.sizes, SIZES),
        audit=labelled(reader.audit, AUDIT),
        latency=ordered(latency, roles),
        curves=pd.DataFrame(reader.curves, columns=CURVE),
        flatness=labelled(reader.flatness, FLATNESS),
        roles=roles,
        deployed=with_labels(reader.deployed, names),
        problems=tuple(reader.problems),
        provenance=reader.provenance,
        protocols=_protocols(named),
    )
