"""Tables, figures and metrics as parts of a report: the built-in ones and those of other packages, by entry point.

Both are loaded, run and refused in the same way; ``docs/adding_a_report.md`` shows one of each. A part that fails is
a line in the report's problems.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any, Literal, TypeVar

from ..core.errors import one_line

Kind = Literal["table", "figure", "metric"]
Problem = tuple[str, str]
"""(what could not be used, why)"""
Made = TypeVar("Made")

TABLES = {
    "field": "quantdg.reports.tables.field:field_tables",
    "accuracy": "quantdg.reports.tables.accuracy:accuracy_tables",
    "search": "quantdg.reports.tables.search:search_tables",
    "robustness": "quantdg.reports.tables.robustness:robustness_tables",
    "size": "quantdg.reports.tables.cost:size_tables",
    "latency": "quantdg.reports.tables.cost:latency_tables",
    "audit": "quantdg.reports.tables.audit:audit_tables",
    "ensembles": "quantdg.reports.tables.ensembles:ensembles_tables",
    "flatness": "quantdg.reports.tables.flatness:flatness_tables",
    "flatness-gap": "quantdg.reports.tables.flatness:gap_tables",
    "deployment": "quantdg.reports.tables.deployment:deployment_tables",
    "metrics": "quantdg.reports.tables.metrics:metrics_tables",
    "failures": "quantdg.reports.tables.failures:failures_tables",
}
FIGURES = {
    "gain": "quantdg.reports.figures.forest:gain_figures",
    "size": "quantdg.reports.figures.pareto:size_figures",
    "latency": "quantdg.reports.figures.pareto:latency_figures",
    "ranks": "quantdg.reports.figures.critical_difference:rank_figures",
    "gain-by-bits": "quantdg.reports.figures.gain_curves:gain_by_bits_figures",
    "gain-by-noise": "quantdg.reports.figures.gain_curves:gain_by_noise_figures",
    "training": "quantdg.reports.figures.training:training_figures",
    "noise": "quantdg.reports.figures.training:weight_noise_figures",
    "flatness": "quantdg.reports.figures.flatness:flatness_figures",
}
BUILT_IN: dict[Kind, dict[str, str]] = {"table": TABLES, "figure": FIGURES, "metric": {}}
"""The function of each built-in part, in the order in which a report shows them."""


def parts(kind: Kind) -> list[EntryPoint]:
    """List the parts of one kind: the built-in ones in their order, then those of other packages by name."""
    group = f"quantdg.{kind}s"
    built_in = [EntryPoint(name, value, group) for name, value in BUILT_IN[kind].items()]
    return [*built_in, *sorted(metadata.entry_points(group=group), key=lambda part: (part.name, part.value))]


def described(part: EntryPoint) -> str:
    """Name a part as the problems do, for example ``table depth (my_package.tables:depth)``."""
    kind = part.group.removeprefix("quantdg.").removesuffix("s")
    return f"{kind} {part.name} ({part.value})"


def attempt(part: EntryPoint, use: Callable[[Any], Made]) -> tuple[Made | None, list[Problem]]:
    """Load a part and use it.

    Args:
        part: the entry point.
        use: what to do with the object that it names.

    Returns:
        What ``use`` returned and no problem, or None and the problem: whatever a part raises ends here.
    """
    try:
        return use(part.load()), []
    except Exception as error:  # noqa: BLE001 - a part of another package may raise anything; it becomes a problem
        return None, [(described(part), one_line(error))]
