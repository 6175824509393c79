"""A list of images to leave out, one path a line, as DomainBed's domain_net_duplicates.txt."""

from __future__ import annotations

import codecs
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from ..core.errors import DataError


def read_list(path: Path) -> list[str]:
    """Return the lines of the list that are not empty; UTF-8, or UTF-16 with its byte-order mark.

    Bytes that are no UTF-8 are read as Python reads file names, so that they fit only files that are named so.

    Raises:
        DataError: it cannot be read or is empty.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"the list of duplicates {path} must be a file; write its full path or null")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"cannot read the list of duplicates {path}: {error.strerror}; write its full path, one below the data set's "
            "folder, or dataset.duplicates=null"
        ) from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if wide else "utf-8-sig", errors="replace" if wide else "surrogateescape")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise DataError(
            f"a list of duplicates must name an image, {path} names none; write one a line, such as DOMAIN/CLASS/IMAGE, or "
            "dataset.duplicates=null"
        )
    return lines


def named_images(lines: Sequence[str], images: Sequence[str], root: Path, unused: Collection[str]) -> set[str]:
    """Return which images the lines of a list name; every line must name one.

    Args:
        lines: paths relative to ``root``; backslashes count as slashes, unless a file is named with one.
        images: all images of the chosen domains, likewise.
        root: of the data set.
        unused: domains that are not chosen; files in their folders may be named.

    Raises:
        DataError: lines name no image. The message has one of them and one that would do.
    """
    present, named, wrong = set(images), set(), []
    for line in lines:
        path = next((p for p in _readings(line) if p in present), None)
        if path is not None:
            named.add(path)
        elif not any(p.partition("/")[0] in unused and os.path.isfile(root / p) for p in _readings(line)):
            wrong.append(line)
    if wrong:
        raise DataError(
            f"each line of dataset.duplicates must name an image below {root}, {len(wrong)} of {len(lines)} do not, for "
            f"example {wrong[0]!r}; write lines like {min(images, default='DOMAIN/CLASS/IMAGE')!r}, in UTF-8, or "
            "dataset.duplicates=null where they are removed already"
        )
    return named


def _readings(line: str) -> tuple[str, str]:
    plain = line.removeprefix("./")
    return plain, line.replace("\\", "/").removeprefix("./")
