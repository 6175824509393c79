"""``quantdg show``: a part with its settings, or stored cells."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core.text import in_a_line, say

if TYPE_CHECKING:
    from ..results.record import Record


def show(argv: Sequence[str]) -> int:
    """Show every setting of a part, or what is stored of a cell."""
    options = show_parser().parse_args(argv)
    say(_cells(options.words[0], options) if len(options.words) == 1 else _part(options.words))
    return 0


def show_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg show``."""
    parser = argparse.ArgumentParser(
        "quantdg show",
        description=show.__doc__,
        usage="quantdg show [-h] (GROUP NAME | CELL [--json] [--full])",
        epilog="For example: quantdg show quantizer lsq; quantdg show runs/mine/digits/thick/0/erm/lsq; quantdg show runs/mine",
    )
    parser.add_argument(
        "words",
        nargs="+",
        metavar="GROUP NAME | CELL",
        help="a group and one of its choices, or RUNS/KEY, RUNS/DATASET/TARGET/SEED/ALGORITHM/QUANTIZER/BITS or its beginning",
    )
    parser.add_argument("--json", action="store_true", help="the records as they are stored, a JSON list")
    parser.add_argument("--full", action="store_true", help="every cell that is named, every layer")
    return parser


def _part(words: Sequence[str]) -> str:
    from ...core.errors import ConfigError
    from ..experiment.describe import describe
    from ..experiment.suites import suite_text

    if len(words) != 2:
        raise ConfigError(
            f"quantdg show takes GROUP NAME or one CELL, got {len(words)} words; quote a pattern with stars"
        )
    return suite_text(words[1]) if words[0] == "suite" else describe(words[0], words[1])


def _cells(text: str, options: argparse.Namespace) -> str:
    import json

    from ..results.find import find_cells
    from ..results.overview import cell_list, cell_overview

    store, keys = find_cells(text)
    if options.json:
        return json.dumps([store.stored(key) for key in keys], indent=1)
    if len(keys) == 1:
        return f"{cell_overview(store, keys[0], full=options.full)}\n\n{_again(store.load(keys[0]))}"
    return cell_list(store, keys, full=options.full)


def _again(record: Record) -> str:
    """The command that runs a cell again, and what it takes."""
    from ...core.errors import RecordError
    from ..recipes.recipe import recipe_of

    try:
        recipe = recipe_of(record)
    except RecordError as error:
        return f"no command for it: {error}"
    return "\n".join(["again:", recipe.command, *(f"# {in_a_line(note)}" for note in recipe.notes)])
