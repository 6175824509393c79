"""``quantdg claims``: what a run folder answers to claims that were written down beforehand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ...core.paths import output_file, user_path
from ...core.text import say
from ..text.formats import add_format


def claims(argv: Sequence[str]) -> int:
    """Answer each claim of a file from the records: QT-DoG's, or your own, as registered before a run."""
    from ...bench.results.archive import run_folder
    from ..answer.terminal import show
    from ..frames.results import load
    from ..listing import print_table, print_tables
    from ..tables.provenance import status_counts
    from .file import read_claims, shipped
    from .section import rewrite
    from .table import answered, claim_tables
    from .terminal import claims_summary

    options = claims_parser().parse_args(argv)
    stated = read_claims(options.file or shipped())
    with run_folder(options.runs) as root:
        results = load(root)
    if options.into:
        body = "\n".join(table.markdown(level=2) for table in claim_tables(stated, results))
        rewrite(options.into, body, "claims")
        say(f"{len(stated.claims)} claims of {stated.name} in {options.into}")
    elif options.format in (None, "text"):
        show(claims_summary(stated, answered(stated, results), status_counts(results)))
    elif options.format == "md":
        print_tables(claim_tables(stated, results), options.format)
    else:
        print_table(claim_tables(stated, results)[0], options.format)
    return 0


def claims_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg claims``."""
    parser = argparse.ArgumentParser("quantdg claims", description=claims.__doc__)
    parser.add_argument("runs", type=user_path, help="folder of a quantdg run, or a published one")
    parser.add_argument("--file", type=user_path, help="YAML file of claims (docs/claims.md); default: QT-DoG's")
    parser.add_argument(
        "--into",
        type=output_file,
        metavar="PAGE",
        help="rewrite the part of a Markdown page between <!-- claims --> and <!-- end of claims -->",
    )
    add_format(parser)
    return parser
