"""``quantdg report``: the tables of a run folder, from its records alone."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def report(argv: Sequence[str]) -> int:
    """Print the tables of a run folder and write the report files; needs only the records."""
    from quantdg.reports.report import render_summary, write_report

    parser = argparse.ArgumentParser("quantdg report", description=report.__doc__)
    parser.add_argument("runs", type=Path, help="folder of a quantdg run")
    parser.add_argument("--out", type=Path, help="folder for the report; default: RUNS/report")
    options = parser.parse_args(argv)
    print(render_summary(options.runs))
    out = options.out or options.runs / "report"
    files = write_report(options.runs, out)
    print(f"\n{len(files)} files in {out}; start with {out / 'report.md'}")
    return 0
