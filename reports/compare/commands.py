"""``quantdg compare``: two run folders, or one and the numbers of a paper."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core.errors import UnknownNameError
from ...core.paths import user_path
from ..text.formats import add_format

if TYPE_CHECKING:
    from ..tables.papers import Paper


def compare(argv: Sequence[str]) -> int:
    """Set two run folders side by side, paired by target domain and seed; or one and the numbers of a paper."""
    from ...bench.results.archive import run_folder
    from ..answer.terminal import show
    from ..frames.results import load
    from ..listing import print_tables
    from ..tables.provenance import status_counts
    from .folders import compared
    from .tables import comparison_tables
    from .terminal import comparison_summary, paper_summary

    options = compare_parser().parse_args(argv)
    with run_folder(options.first) as root:
        first = load(root)
    head = f"{options.first}, {status_counts(first)}"
    paper = _paper(options.second)
    if paper is not None:
        from .papers import paper_table

        tables = [paper_table(paper, first)]
        brief = paper_summary(tables[0], head)
    else:
        with run_folder(user_path(options.second)) as root:
            second = load(root)
        found = compared(first, second, options.alpha)
        tables = comparison_tables(found)
        brief = comparison_summary(found, (head, f"{options.second}, {status_counts(second)}"))
    if options.full or options.format:
        print_tables(tables if options.full else tables[:1], options.format or "text")
    else:
        show(brief)
    return 0


def _paper(name: str) -> Paper | None:
    """The paper of this name, unless a folder has it; UnknownNameError where there is neither."""
    from ..tables.papers import papers

    if user_path(name).exists():
        return None
    known = {paper.name: paper for paper in papers()}
    if name not in known:
        raise UnknownNameError("run folder or paper", name, known)
    return known[name]


def compare_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg compare``."""
    parser = argparse.ArgumentParser("quantdg compare", description=compare.__doc__)
    parser.add_argument("first", metavar="A", type=user_path, help="folder of a quantdg run, or a published one")
    parser.add_argument("second", metavar="B", help="another one, or a paper: domainbed, qtdog or swad")
    parser.add_argument(
        "--full", action="store_true", help="print every row and selection, pairs, settings, what one lacks"
    )
    parser.add_argument("--alpha", type=float, help="level of each test; default: as fixed with the first run")
    add_format(parser)
    return parser
