"""Metrics of other packages: functions from a record to a number, applied while records are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import EntryPoint
from numbers import Real
from typing import Any

from ...bench.results.record import Record
from ...core.errors import one_line
from ..plugins import Problem, attempt, described, parts

METRIC = ["metric", "value"]
Metric = Callable[[Record], float | None]


def _number(metric: Metric, record: Record) -> float:
    """The number; NaN where the metric returns None."""
    value = metric(record)
    if value is None:
        return math.nan
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"a metric must return a finite number, or None where there is none, got {value!r}")
    return float(value)


class MetricReader:
    """Applies every metric to records and keeps where one failed."""

    def __init__(self) -> None:
        """Load the metrics; one that cannot be loaded is a problem."""
        self._metrics: list[tuple[EntryPoint, Metric]] = []
        self._failed: dict[str, list[str]] = {}
        self._not_loaded: list[Problem] = []
        self._records = 0
        for part in parts("metric"):
            metric, problems = attempt(part, lambda function: function)
            self._not_loaded += problems
            if metric is not None:
                self._metrics.append((part, metric))

    def rows(self, record: Record) -> list[dict[str, Any]]:
        """Make one row for each metric, columns key and METRIC, NaN where it has no number; none without a result."""
        if record.status != "done":
            return []
        self._records += 1
        out = []
        for part, metric in self._metrics:
            try:
                value = _number(metric, record)
            except Exception as error:  # noqa: BLE001 - told among the problems, whatever a metric raises
                reason = f"{record.key}: {one_line(error)}"
                self._failed.setdefault(described(part), []).append(reason)
                value = math.nan
            out.append({"key": record.key, "metric": part.name, "value": value})
        return out

    def problems(self) -> list[Problem]:
        """Return what could not be loaded, and each metric that failed, with its first reason."""
        failed = [
            (name, f"no number for {len(reasons)} of {self._records} records, first {reasons[0]}")
            for name, reasons in self._failed.items()
        ]
        return [*self._not_loaded, *failed]
