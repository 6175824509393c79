"""The published folder: written without network, read again by ``quantdg report``, ``verdict`` and ``merge``."""

from __future__ import annotations

import os
from pathlib import Path

from ...bench.results.archive import FILE, MARKER, archive_of
from ...bench.results.files import remove, write_atomic
from ...core.errors import ConfigError
from ..answer.numbers import as_json
from ..export.files import write_parquet
from ..export.numbers import numbers
from ..page.page import write_html
from ..report import Report
from .readme import NUMBERS, readme

REPORT = "report"
KEPT = ("LICENSE", "LICENSE.md", "LICENSE.txt", "CITATION.cff")
"""What a folder may hold before its first publication, beside hidden files such as ``.git``."""


def write_published(
    report: Report, root: Path, to: Path, *, license_name: str = "unknown", only_records: bool = False
) -> list[Path]:
    """Write a folder for a results repository; the same records give the same bytes.

    Args:
        report: of the run folder.
        root: the run folder.
        to: a new or empty folder, a checkout, or one published before, whose files are replaced.
        license_name: of the results, as the Hugging Face hub names licenses.
        only_records: leave out numbers, tables, figures and page, which ``quantdg export`` and ``report`` make again.

    Returns:
        The files written, README.md first.

    Raises:
        ConfigError: ``to`` is a run folder or holds something else.
        MissingPackageError: no Parquet can be written, unless ``only_records``.
        RecordError: a file of the run folder cannot be read.
    """
    check_place(to)
    rows = None if only_records else numbers(report.results, root)
    write_atomic(to / FILE, archive_of(root))
    write_atomic(to / "verdict.json", as_json(report.verdict, report.results) + "\n")
    files = [to / FILE, to / "verdict.json"]
    if rows is None:
        remove(to / NUMBERS)
    else:
        write_parquet(rows, to / NUMBERS)
        files += [to / NUMBERS, *report.write(to / REPORT), write_html(report, to / REPORT / "index.html")]
    _remove_others(to / REPORT, set(files))
    write_atomic(to / "README.md", readme(report, license_name=license_name, rows=None if rows is None else len(rows)))
    return [to / "README.md", *files]


def check_place(to: Path) -> None:
    """Raise ConfigError where publishing to this folder would mix it with something else."""
    if os.path.lexists(to / MARKER):
        raise ConfigError(f"--to must not be a run folder, {to} is one; write another folder")
    if not to.is_dir() or (to / FILE).exists():
        return
    others = sorted(path.name for path in to.iterdir() if not path.name.startswith(".") and path.name not in KEPT)
    if others:
        raise ConfigError(
            f"--to must be a new folder or one published before, {to} holds {others[0]}; move that or write another folder"
        )


def _remove_others(folder: Path, files: set[Path]) -> None:
    """Remove what an earlier publication had and this one has not, so that nothing stands beside other records."""
    if folder.is_dir() and not folder.is_symlink():
        remove(*(path for path in folder.iterdir() if path.is_file() and path not in files))
