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
    """Print the answer of a run folder and write tables, figures and the page; needs only the records."""
    from .answer.terminal import show, summary
    from .page.page import write_html
    from .report import Report

    options = report_parser().parse_args(argv)
    out = options.out or options.runs / "report"
    made = Report.of(options.runs, options.margin, options.alpha, options.accuracy_from)
    if options.full:
        say(made.summary())
    else:
        show(summary(made.verdict, made.results))
    files = made.write(out)
    say(f"\n{len(files) + 1} files in {out}: tables as Markdown, CSV and LaTeX, figures as SVG and PNG")
    say(f"page: {write_html(made, options.html or out / 'index.html')}")
    return 0


def report_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg report``."""
    parser = _parser("report", report.__doc__)
    parser.add_argument("--out", type=output_folder, help="folder for the report; default: RUNS/report")
    parser.add_argument(
        "--html", type=output_file, help="file of the self-contained page; default: index.html in the report's folder"
    )
    parser.add_argument("--full", action="store_true", help="print every table instead of the answer")
    parser.add_argument("--accuracy-from", metavar="RUNTIME", help="openvino or onnxruntime: as recomputed there")
    return parser


def verdict(argv: Sequence[str]) -> int:
    """Say whether the gain holds; --full has effects, intervals, p-values and controls, --json the same for scripts."""
    from .answer.numbers import as_json
    from .answer.terminal import card, show
    from .report import Report

    options = verdict_parser().parse_args(argv)
    made = Report.of(options.runs, options.margin, options.alpha)
    if options.json:
        say(as_json(made.verdict, made.results))
    elif options.full:
        say(made.words())
    else:
        show(card(made.verdict, made.results))
    return 0


def verdict_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg verdict``."""
    parser = _parser("verdict", verdict.__doc__)
    parser.add_argument(
        "--full", action="store_true", help="print every claim, with interval and p-value, and the tables"
    )
    parser.add_argument("--json", action="store_true", help="print the answer and every claim for scripts")
    return parser
