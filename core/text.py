"""What reaches a terminal: names and reasons come from files, and a terminal obeys some of their characters."""

from __future__ import annotations

import re
import sys
from typing import TextIO

_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters beside tab and newline, marks that turn the direction of writing, and halves of characters."""


def printable(text: str) -> str:
    r"""Return a text with every character that a terminal would obey written as its escape, for example ``\x1b``."""
    return _COMMANDS.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode(), text)


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text and a newline to the standard output, or to ``file``, as `printable` has it."""
    print(printable(text), file=file or sys.stdout)
