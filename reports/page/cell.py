"""What the page of one cell shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...bench.recipes.recipe import Recipe, recipe_of
from ...bench.results.codec import WRONG
from ...bench.results.deployment import Deployment
from ...bench.results.loading import loading_code
from ...bench.results.record import HEADLINE, Record
from ...core.errors import RecordError
from .cell_tables import CellTable, cell_tables, percent
from .curve import Curve, curve_of


@dataclass(frozen=True)
class CellPage:
    """A cell's page, ready for templates/cell.html.

    Attributes:
        record: of the cell.
        name: of the cell in words.
        accuracy: of the headline selection on the target, in percent; empty where there is none.
        recipe: how to run it again; None where its settings have another form, ``trouble`` then says which.
        curve: over the steps; None where there are fewer than two checkpoints.
        tables: in reading order.
        code: that loads its deployed ONNX file; empty where there is none that says what it expects.
    """

    record: Record
    name: str
    accuracy: str
    recipe: Recipe | None
    trouble: str
    curve: Curve | None
    tables: Sequence[CellTable]
    code: str = ""


def cell_page(record: Record, deployments: Sequence[Deployment] = (), file: str = "") -> CellPage:
    """Return the page of a record with what was deployed of it; ``file`` is its ONNX file that describes itself, if any."""
    labels, headline = record.labels, record.rows.get(HEADLINE)
    bits = "" if labels.bits == labels.quantizer else f" {labels.bits}"
    recipe, trouble = None, ""
    try:
        recipe = recipe_of(record)
    except RecordError as error:
        trouble = str(error)
    return CellPage(
        record,
        f"{labels.dataset}/{labels.target}, seed {labels.seed}: {labels.algorithm}, {labels.quantizer}{bits}",
        percent(headline.target_in) if headline is not None else "",
        recipe,
        trouble,
        _drawn(record),
        cell_tables(record, deployments, recipe),
        loading_code(file) if file else "",
    )


_CURVES = {"source validation": "source_acc", "target, its 20 %": "target_out"}


def _drawn(record: Record) -> Curve | None:
    try:
        steps = [float(point["step"]) for point in record.curve]
        return curve_of(steps, {name: [float(point[key]) for point in record.curve] for name, key in _CURVES.items()})
    except WRONG:
        return None
