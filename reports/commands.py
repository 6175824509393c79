"""The commands that read records. Each imports what it needs when it runs; none imports torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import ConfigError
from ..core.paths import output_file, output_folder, user_path
from ..core.text import say
from .text.formats import add_format

if TYPE_CHECKING:
    from .tables.table import Table


def _parser(name: str, about: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"quantdg {name}", description=about)
    parser.add_argument("runs", type=user_path, help="folder of a quantdg run, or a published one")
    parser.add_argument(
        "--margin", type=float, help="largest difference that counts as none, in points; default: as fixed with the run"
    )
    parser.add_argument("--alpha", type=float, help="level of each test; default: as fixed with the run")
    return parser


def _check_format(options: argparse.Namespace, wanted: str, given: object) -> None:
    if options.format and not given:
        raise ConfigError(f"--format is the form of tables, the answer has one of its own; write it with {wanted}")


def report(argv: Sequence[str]) -> int:
    """Print the answer of a run folder and write tables, figures and the page; needs only the records."""
    from ..bench.results.archive import beside, run_folder
    from ..bench.results.folder import inside
    from .answer.terminal import show, summary
    from .listing import print_measured
    from .page.cell_pages import FOLDER, address, write_cell_pages
    from .page.page import write_html
    from .report import Report

    options = report_parser().parse_args(argv)
    _check_format(options, "--table NAME or --full", options.table or options.full)
    if options.into and (options.format or not options.table):
        raise ConfigError("--into writes one table as Markdown; write --table NAME with it and no --format")
    out = options.out or inside(beside(options.runs), f"report/{FOLDER}/-").parent.parent
    with run_folder(options.runs) as root:
        made = Report.of(root, options.margin, options.alpha, options.accuracy_from)
        if options.table:
            _one_table(made.table(options.table), options)
            return 0
        if options.full:
            print_measured(made, options.format or "text")
        else:
            show(summary(made.verdict, made.results))
        files = made.write(out, options.style)
        figures = _figure_forms(files) if options.style == "screen" else "SVG and PDF for a column of a paper"
        say(f"\n{len(files) + 1} files in {out}: tables as Markdown, CSV and LaTeX, figures as {figures}")
        page, folder = options.html or out / "index.html", out / FOLDER
        there = write_cell_pages(root, folder, page, which=options.cells)
        if there:
            say(f"{there} pages of cells in {folder}, reached from the page's numbers")
        say(f"page: {write_html(made, page, address(folder, page) if there else '')}")
    return 0


def _one_table(table: Table, options: argparse.Namespace) -> None:
    from .listing import print_table
    from .text.section import rewrite

    if options.into:
        rewrite(options.into, table.markdown(level=2), table.name)
        say(f"{table.name} in {options.into}")
    else:
        print_table(table, options.format or "text")


def _figure_forms(files: Sequence[Path]) -> str:
    """The forms of figures among the files of a report, and how many are too large for an image of pixels."""
    drawn = {end: sum(file.suffix == end for file in files) for end in (".svg", ".png")}
    vectors = drawn[".svg"] - drawn[".png"]
    return f"SVG, PDF and PNG{f' ({vectors} too large for PNG)' if vectors else ''}"


def report_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg report``."""
    parser = _parser("report", report.__doc__)
    parser.add_argument("--out", type=output_folder, help="folder for the report; default: RUNS/report")
    parser.add_argument(
        "--html",
        type=partial(output_file, ending=".html"),
        help="file of the self-contained page; default: index.html in the report's folder",
    )
    parser.add_argument(
        "--style", choices=("screen", "paper"), default="screen",
        help="of the figures' files; paper: 3.25 inches wide, letters of 8 points, SVG and PDF",
    )  # fmt: skip
    parser.add_argument("--full", action="store_true", help="print every table instead of the answer")
    parser.add_argument(
        "--table",
        metavar="NAME",
        help="print this table alone, by its file name or a beginning of it, and write no file",
    )
    parser.add_argument(
        "--into",
        type=output_file,
        metavar="PAGE",
        help="with --table: rewrite the part of a Markdown page between <!-- NAME --> and <!-- end of NAME -->",
    )
    add_format(parser)
    parser.add_argument("--accuracy-from", metavar="RUNTIME", help="openvino or onnxruntime: as recomputed there")
    parser.add_argument(
        "--cells",
        choices=("few", "all", "none"),
        default="few",
        help="whether each cell gets a page of its own, in cells below the report's folder; few (default): up to 1,000 cells",
    )
    return parser


def verdict(argv: Sequence[str]) -> int:
    """Say whether the gain holds; --full has effects, intervals, p-values and controls, --json the same for scripts."""
    from ..bench.results.archive import run_folder
    from .answer.numbers import as_json
    from .answer.terminal import card, show
    from .listing import print_verdict
    from .report import Report

    options = verdict_parser().parse_args(argv)
    _check_format(options, "--full", options.full)
    with run_folder(options.runs) as root:
        made = Report.of(root, options.margin, options.alpha)
    if options.json:
        say(as_json(made.verdict, made.results))
    elif options.full:
        print_verdict(made, options.format or "text")
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
    add_format(parser)
    return parser


def export(argv: Sequence[str]) -> int:
    """Write every number of a run folder as one row: whose it is, what it is, value, unit, where it was computed."""
    from ..bench.results.archive import run_folder
    from .export.files import check_parquet, write_csv, write_parquet
    from .export.numbers import numbers
    from .frames.results import load

    options = export_parser().parse_args(argv)
    if options.parquet:
        check_parquet("--csv FILE")
    with run_folder(options.runs) as root:
        rows = numbers(load(root), root)
    for file, write in ((options.parquet, write_parquet), (options.csv, write_csv)):
        if file is not None:
            write(rows, file)
            say(f"{len(rows)} numbers of {rows['key'].nunique()} cells in {file}, {file.stat().st_size / 1e6:.2f} MB")
    return 0


def export_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg export``."""
    parser = argparse.ArgumentParser("quantdg export", description=export.__doc__)
    parser.add_argument("runs", type=user_path, help="folder of a quantdg run, or a published one")
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument(
        "--parquet", type=partial(output_file, ending=".parquet"), metavar="FILE", help="needs quantdg[export]"
    )
    form.add_argument(
        "--csv", type=partial(output_file, ending=".csv"), metavar="FILE", help="the same without the settings"
    )
    return parser


def publish(argv: Sequence[str]) -> int:
    """Write a folder for a results repository: records in one file, page, tables, verdict and a card; no network."""
    from ..bench.results.archive import run_folder
    from .export.files import check_parquet
    from .publish.folder import check_place, write_published
    from .report import Report

    options = publish_parser().parse_args(argv)
    check_place(options.to)
    if not options.only_records:
        check_parquet("--only-records")
    with run_folder(options.runs) as root:
        made = Report.of(root)
        files = write_published(made, root, options.to, license_name=options.license, only_records=options.only_records)
    total = sum(file.stat().st_size for file in files)
    say(f"{len(files)} files, {total / 1e6:.2f} MB, in {options.to}; quantdg report {options.to} reads it again")
    return 0


def publish_parser() -> argparse.ArgumentParser:
    """The options of ``quantdg publish``."""
    parser = argparse.ArgumentParser("quantdg publish", description=publish.__doc__)
    parser.add_argument("runs", type=user_path, help="folder of a quantdg run")
    parser.add_argument(
        "--to", type=output_folder, required=True, help="a new folder, a checkout, or one published before"
    )
    parser.add_argument(
        "--license", default="unknown", help="of the results, as the Hugging Face hub names it: cc-by-4.0"
    )
    parser.add_argument(
        "--only-records",
        action="store_true",
        help="leave out numbers, tables and page, which quantdg export and report make",
    )
    return parser
