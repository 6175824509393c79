"""The forms in which a table is printed."""

from __future__ import annotations

import argparse
from typing import Literal, get_args

Form = Literal["text", "md", "csv", "latex", "json"]
FORMS: tuple[Form, ...] = get_args(Form)
"""``text`` is for people: in colours on a terminal, aligned columns in a pipe."""


def add_format(parser: argparse._ActionsContainer) -> None:  # what a parser and a group of it have in common
    """Add the option ``--format`` to a command's, or to a group of them."""
    parser.add_argument(
        "--format", choices=FORMS, help="of tables; default: text, on a terminal in colours and as wide as that is"
    )
