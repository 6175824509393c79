"""Reads records one at a time into flat rows, and keeps what could not be used; no record stays in memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ...bench.results.codec import WRONG
from ...bench.results.deployment import Deployment, deployments
from ...bench.results.ensemble import ensemble_file, ensembles
from ...bench.results.record import Record
from ...bench.results.store import RunStore, Unreadable
from ...bench.results.trials import Searched, read_search
from ...core.errors import RecordError, one_line
from .columns import SECTION
from .ensembles import ensemble_row
from .flatness_rows import flatness_rows
from .metric_rows import MetricReader
from .record_rows import audit_row, curve_rows, latency_row, provenance_items, size_row
from .variants import identity

T = TypeVar("T")


def _labels(record: Record) -> dict[str, Any]:
    labels = record.labels
    names = {c: str(getattr(labels, c)) for c in (*SECTION, "algorithm", "quantizer", "bits", "target")}
    said = {"role": record.role, "meaning": record.meaning}
    return {**names, "seed": int(labels.seed), "key": str(record.key), "form": identity(record.settings), **said}


def _rows(record: Record) -> list[dict[str, Any]]:
    if record.status != "done":
        return [{"selection": None, "accuracy": math.nan, "source": math.nan, "step": -1}]
    return [
        {"selection": str(rule), "accuracy": r.target_in, "source": _mean(r.source_out), "step": r.step}
        for rule, r in record.rows.items()
    ]


def _mean(source_out: Mapping[str, float]) -> float:
    return sum(source_out.values()) / len(source_out) if source_out else math.nan


class Reader:
    """Collects the rows of a run folder.

    Attributes:
        root: the run folder.
        cells: one row a cell and selection rule.
        sizes: bytes of files, one row a record that has them.
        audit: one row a record that has one.
        latency: one row a measurement.
        curves: one row a checkpoint.
        flatness: one row a measure.
        metrics: one row a record and metric of another package.
        measured: applies those metrics.
        deployed: the deployment records.
        ensembles: one row an ensemble of seeds.
        problems: (file, reason) of what could not be used.
        provenance: (path, value) -> number of records.
        searched: which records are trials of which row.
    """

    def __init__(self, root: Path) -> None:
        """Start empty: nothing is read yet."""
        self.root = root
        self.cells: list[dict[str, Any]] = []
        self.sizes: list[dict[str, Any]] = []
        self.audit: list[dict[str, Any]] = []
        self.latency: list[dict[str, Any]] = []
        self.curves: list[tuple[str, float, float, float, float]] = []
        self.flatness: list[dict[str, Any]] = []
        self.metrics: list[dict[str, Any]] = []
        self.deployed: list[Deployment] = []
        self.ensembles: list[dict[str, Any]] = []
        self.problems: list[tuple[str, str]] = []
        self.provenance: Counter[tuple[str, str]] = Counter()
        self.measured = MetricReader()
        self.searched = Searched()

    def read(self) -> None:
        """Read everything in the folder."""
        store = RunStore(self.root)
        self.searched = read_search(self.root)
        for damaged in self.searched.damaged:
            self._problem(damaged.path, damaged.reason)
        for record in self._whole(store.records()):
            self._add(record)
        self.latency += [latency_row(latency) for latency in self._whole(store.latencies())]
        self.deployed += self._whole(deployments(self.root))
        targets = {cell["key"]: cell["target"] for cell in self.cells}
        for one in self._whole(ensembles(store)):
            if targets.keys() >= {*one.members}:
                self.ensembles.append(ensemble_row(one, targets[one.members[0]]))
            else:
                self._problem(
                    self.root / ensemble_file(one.key), "not all of its members are in this folder; combine them again"
                )

    def _whole(self, found: Iterable[T | Unreadable]) -> Iterator[T]:
        """Yield what could be read and note the rest."""
        for one in found:
            if isinstance(one, Unreadable):
                self._problem(one.path, one.reason)
            else:
                yield one

    def _problem(self, path: Path, reason: str) -> None:
        name = path.relative_to(self.root).as_posix()
        self.problems.append((name, reason.replace(f"{self.root.as_posix()}/", "")))

    def _add(self, record: Record) -> None:
        try:
            labels, rows = _labels(record), _rows(record)
            known = {"status": record.status, "reason": str(record.reason)}
            self.cells += [{**labels, **known, **row} for row in rows]
            self.sizes += size_row(record)
            self.audit += audit_row(record)
            self.curves += curve_rows(record)
            self.flatness += flatness_rows(record)
            self.provenance.update(provenance_items(record.provenance))
        except (RecordError, *WRONG) as error:
            self._problem(self.root / "cells" / f"{record.key}.json", one_line(error))
        else:
            self.metrics += self.measured.rows(record)
