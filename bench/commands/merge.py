"""``quantdg merge``: run folders of several machines, or published ones, into one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ...core.paths import output_folder, user_path
from ...core.text import say


def merge(argv: Sequence[str]) -> int:
    """Merge run folders of several machines into one; exit code 1 where results differ."""
    from ..results.merge import merge_runs

    options = merge_parser().parse_args(argv)
    merged = merge_runs(options.folders, options.out)
    say(merged.text())
    return 1 if merged.conflicts else 0


def merge_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg merge``."""
    parser = argparse.ArgumentParser("quantdg merge", description=merge.__doc__)
    parser.add_argument("folders", nargs="+", type=user_path, help="run folders or published ones; never changed")
    parser.add_argument("--out", required=True, type=output_folder, help="a new folder, or one to add to")
    return parser
