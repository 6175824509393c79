"""``quantdg claims``: what a run folder answers to claims that were written down beforehand."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.paths import output_file, user_path
from ...core.text import say
from ..text.formats import add_format

if TYPE_CHECKING:
    from ..frames.results import Results


def claims(argv: Sequence[str]) -> int:
    """Answer each claim of a file from the records: QT-DoG's, or your own, as registered before a run; --full in words."""
    from ..answer.terminal import show
    from ..listing import print_table, print_tables
    from ..tables.provenance import status_counts
    from ..text.section import rewrite
    from .file import read_claims, shipped
    from .table import answered_by, claim_tables
    from .terminal import claims_at_a_glance, claims_in_words

    options = claims_parser().parse_args(argv)
    stated = read_claims(options.file or shipped())
    folders = _loaded(options.runs)
    if options.into:
        body = "\n".join(table.markdown(level=2) for table in claim_tables(stated, folders))
        rewrite(options.into, body, "claims")
        say(f"{len(stated.claims)} claims of {stated.name} in {options.into}")
    elif options.full or options.format in (None, "text"):
        counts = {name: status_counts(results) for name, results in folders.items()}
        several = [f"{name} {said.partition('. ')[0]}" for name, said in counts.items()]
        head = "; ".join(several if len(counts) > 1 else counts.values())
        said = claims_in_words if options.full else claims_at_a_glance
        show(said(stated, answered_by(stated, folders), head))
    elif options.format in ("md", "latex"):
        print_tables(claim_tables(stated, folders), options.format)
    else:
        print_table(claim_tables(stated, folders)[0], options.format)
    return 0


def _loaded(runs: Sequence[Path]) -> dict[str, Results]:
    """The results of each folder by its name, by its path where two have one name."""
    from ...bench.results.archive import run_folder
    from ..frames.results import load

    paths = dict.fromkeys(runs)
    names = Counter(path.name for path in paths)
    folders = {}
    for path in paths:
        with run_folder(path) as root:
            folders[path.name if path.name and names[path.name] == 1 else str(path)] = load(root)
    return folders


def claims_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg claims``."""
    parser = argparse.ArgumentParser("quantdg claims", description=claims.__doc__)
    parser.add_argument(
        "runs",
        type=user_path,
        nargs="+",
        help="folder of a quantdg run, or a published one; of several each claim is answered, on each model, from the first that has its rows",
    )
    parser.add_argument("--file", type=user_path, help="YAML file of claims (docs/claims.md); default: QT-DoG's")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--full", action="store_true", help="a paragraph for each claim: what it says, its contrast, what it takes"
    )
    shown.add_argument(
        "--into",
        type=output_file,
        metavar="PAGE",
        help="rewrite the part of a Markdown page between <!-- claims --> and <!-- end of claims -->",
    )
    add_format(shown)
    return parser
