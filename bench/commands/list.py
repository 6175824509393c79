"""``quantdg list``: what there is to choose from."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core.text import printable, say

if TYPE_CHECKING:
    from ..experiment.quantizer_table import QuantizerRow

_WIDE = 140
_WIDE_ONLY = {"scales", "inputs", "learns", "package", "paper"}


def list_components(argv: Sequence[str]) -> int:
    """Name every component; with a group, say what each of its choices is, and of quantizers what each can do."""
    options = list_components_parser().parse_args(argv)
    from ..experiment.catalogue import group_named, group_text, text

    if not options.group:
        say(text())
    elif (group := group_named(options.group)) != "quantizer":
        say(group_text(group))
    else:
        _quantizers(in_markdown=options.markdown, with_cost=options.cost)
    return 0


def list_components_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg list``."""
    parser = argparse.ArgumentParser("quantdg list", description=list_components.__doc__)
    parser.add_argument("group", nargs="?", help="quantizers, algorithms, datasets, ...")
    parser.add_argument(
        "--cost", action="store_true", help="measure what a training step costs over float (about a second a quantizer)"
    )
    parser.add_argument("--markdown", action="store_true", help="the table of quantizers, as the documentation has it")
    return parser


def list_components_words(words: Sequence[str]) -> list[str]:
    """What the last word may become, for completion."""
    from ..experiment.offers import GROUPS

    return [group for group in GROUPS if group.startswith(words[-1])]


def _quantizers(*, in_markdown: bool, with_cost: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..experiment.quantizer_table import FIELDS, QuantizerRow, as_markdown, quantizer_rows

    rows = quantizer_rows()
    fields = QuantizerRow._fields if with_cost else FIELDS
    if with_cost:
        costs = _costs(rows)
        rows = [row._replace(step_cost=costs.get(row.quantizer, row.step_cost)) for row in rows]
    if in_markdown:
        say(as_markdown(rows, fields))
        return
    console = Console()
    if not console.is_terminal:
        console.width = 200
    shown = [field for field in fields if console.width >= _WIDE or field not in _WIDE_ONLY]
    table = Table(box=None, pad_edge=False)
    for field in shown:
        table.add_column(field, overflow="fold", no_wrap=field in {"quantizer", "family", "bits"})
    for row in rows:
        table.add_row(*(Text(printable(getattr(row, field))) for field in shown))
    console.print(table)
    if len(shown) < len(fields):
        say(f"A terminal of {_WIDE} columns, or --markdown, also shows: {', '.join(sorted(_WIDE_ONLY))}.")


def _costs(rows: Sequence[QuantizerRow]) -> dict[str, str]:
    """The ratio of each quantizer that can be used here."""
    from ..experiment.catalogue import unusable_reason
    from ..training.step_cost import step_costs

    usable = [row.quantizer for row in rows if not unusable_reason(row.quantizer)]
    return {name: f"{cost:.2f}" for name, cost in step_costs({n: [f"quantizer=[{n}]"] for n in usable}).items()}
