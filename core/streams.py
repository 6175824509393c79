"""Standard streams that take whatever is printed. Imports no torch."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper


def open_streams() -> None:
    """Make the three standard streams usable: closed ones lead nowhere, and no letter is unprintable.

    A program started with a closed stream would get its number for the next file it opens, a record for example, and what
    libraries print would land there. Letters that an encoding such as latin-1 lacks are printed as ``\\u2013``.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Write out what was printed if that is possible, and lead the rest nowhere: the flush at exit must not fail again."""
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):  # no file, under a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
