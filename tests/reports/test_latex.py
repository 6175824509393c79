"""A paper of every table and every figure: pdflatex compiles it, nothing is too wide, too high or without a glyph."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from quantdg.bench.results.record import Record, Sizes
from quantdg.bench.results.store import RunStore
from quantdg.reports.figures.theme import COLUMN, PAGE_HEIGHT, TWO_COLUMNS
from quantdg.reports.report import Report
from quantdg.reports.tables.table import Table

PREAMBLE = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs,graphicx}
\usepackage[textwidth=6.875in,columnsep=0.375in,textheight=9in]{geometry}
\newsavebox{\own}
\newcommand{\fit}[1]{\savebox{\own}{\input{#1}}\ifdim\wd\own>\textwidth\resizebox{\textwidth}{!}{\usebox{\own}}\else\usebox{\own}\fi}
\begin{document}
"""
needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")


def compiled(folder: Path, body: str) -> str:
    """What pdflatex says of a document; it must make a PDF."""
    (folder / "paper.tex").write_text(f"{PREAMBLE}{body}\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    return done.stdout


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, make_many: Callable[..., Record], site: Callable) -> list[Path]:
    """Everything that is written of two data sets, two algorithms, a control and a failure, for a paper."""
    folder = tmp_path_factory.mktemp("latex")
    store = RunStore(folder / "runs", create=True)
    quantizers = ("float", "lsq", "torch_ao_learnable", "uniform_noise")
    for at, (dataset, target, algorithm, quantizer) in enumerate(
        product(("pacs", "office_caltech"), ("art_painting", "sketch"), ("erm", "coral"), quantizers)
    ):
        rows = {"iid": 0.5 + at % 7 / 100}
        own = {"sizes": Sizes(1000, 250, 200, 10, 40, ""), "target_count": 1000}
        audit = {"conv": site(noise_to_signal=0.01 * (1 + at % 4))}
        store.write(make_many(target, 0, algorithm, quantizer, rows, dataset=dataset, audit=audit, **own))
    store.write(make_many("sketch", 0, "erm", "a_b$^2 & 5%#~{c}\\d <漢>", status="failed", reason="no room é – 漢"))
    return Report.of(store.root).write(folder / "report", "paper")


@needs_latex
def test_every_table_and_figure_compiles_and_fits(files: list[Path]) -> None:
    tables = [path for path in files if path.suffix == ".tex"]
    figures = [path for path in files if path.suffix == ".pdf"]
    names = {path.stem.partition("-")[0] for path in tables} | {path.stem.rsplit("-", 1)[0] for path in figures}
    assert {"field", "accuracy", "audit", "size", "verdict", "failures", "provenance"} <= names
    assert len(tables) > 12
    assert len(figures) >= 4
    body = [rf"\begin{{table*}}\tiny\fit{{{path}}}\end{{table*}}\clearpage" for path in tables]
    for path in figures:
        star = "*" * (_size(path)[0] > COLUMN)
        body.append(
            rf"\begin{{figure{star}}}\includegraphics{{{path}}}\caption{{A sentence.}}\end{{figure{star}}}\clearpage"
        )
    said = compiled(files[0].parent, "\n".join(body))
    assert not re.findall(r"Overfull.*|.*too large.*|Missing character.*|.*undefined.*", said)
    assert f"({len(tables) + len(figures)} pages" in said


def test_a_figure_for_a_paper_is_at_most_as_large_as_its_page(files: list[Path]) -> None:
    sizes = {path.stem: _size(path) for path in files if path.suffix == ".pdf"}
    for name, (width, height) in sizes.items():
        assert width in (COLUMN, TWO_COLUMNS - 1, TWO_COLUMNS), name
        assert height <= PAGE_HEIGHT, name
    assert {width for width, _ in sizes.values()} >= {COLUMN, TWO_COLUMNS}


def _size(path: Path) -> tuple[float, float]:
    (found,) = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", path.read_bytes())
    return float(found[0]), float(found[1])


@needs_latex
def test_every_letter_of_latin_1_compiles_and_others_are_named(tmp_path: Path) -> None:
    letters = "".join(chr(code) for code in range(0x21, 0x180) if chr(code).isprintable())
    text = pd.DataFrame({"name": [f"{letters} –—…±× λ漢"]})
    latex = Table(name="t", title="漢", text=text, numbers=text).latex()
    assert "[U+03BB][U+6F22]" in latex
    assert "é" in latex
    assert "Missing character" not in compiled(tmp_path, rf"\tiny {latex}")
