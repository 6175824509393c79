"""The commands that read records. Each imports what it needs when it runs; none imports torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..core.paths import output_file, output_folder, user_path
from ..core.text import say


def _parser(name: str, about: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"quantdg {name}", description=about)
    parser.add_argument("runs", type=user_path, help="folder of a quantdg run")
    parser.add_argument(
        "--margin", type=float, help="largest difference that counts as none, in points; default: as fixed with the run"
    )
    parser.add_argument("--alpha", type=float, help="level of each test; default: as fixed with the run")
    return parser


def report(argv: Sequence[str]) -> int:
    """Print the tables of a run folder and write the report files; needs only the records."""
    from .page.page import write_html
    from .report import Report

    options = report_parser().parse_args(argv)
    out = options.out or options.runs / "report"
    made = Report.of(options.runs, options.margin, options.alpha, options.accuracy_from)
    say(made.summary())
    files = made.write(out)
    say(f"\n{len(files)} files in {out}; start with {out / 'report.md'}")
    if options.html:
        say(f"page: {write_html(made, options.html)}")
    return 0


def report_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg report``."""
    parser = _parser("report", report.__doc__)
    parser.add_argument("--out", type=output_folder, help="folder for the report; default: RUNS/report")
    parser.add_argument("--html", type=output_file, help="write one self-contained page there as well")
    parser.add_argument("--accuracy-from", metavar="RUNTIME", help="openvino or onnxruntime: as recomputed there")
    return parser


def verdict(argv: Sequence[str]) -> int:
    """Say whether the gain holds: effects, intervals, p-values, controls, and what cannot be decided."""
    from .report import Report

    options = verdict_parser().parse_args(argv)
    say(Report.of(options.runs, options.margin, options.alpha).words())
    return 0


def verdict_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg verdict``."""
    return _parser("verdict", verdict.__doc__)
