"""What reaches a terminal: names and reasons come from files, and a terminal obeys some of their characters."""

from __future__ import annotations

import re
import sys
from typing import TextIO

_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters beside tab and newline, marks that turn the direction of writing, and halves of characters."""


def printable(text: str) -> str:
    r"""Return a text with every character that a terminal would obey written as its escape, for example ``\x1b``."""
    return _COMMANDS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    """As JSON and Python read it; below 0x20, where JSON has an escape already, in the short form."""
    return rf"\u{ord(found.group()):04x}" if found.group() > " " else found.group().encode("unicode_escape").decode()


def in_a_line(text: object) -> str:
    r"""Return a name or a reason as `printable`, with ``\n`` and ``\t`` escaped too: it begins no line of its own."""
    return printable(str(text)).replace("\n", "\\n").replace("\t", "\\t")


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text and a newline to the standard output, or to ``file``, as `printable` has it."""
    print(printable(text), file=file or sys.stdout)
