"""The forms in which a table is printed."""

from __future__ import annotations

from typing import Literal, get_args

Form = Literal["text", "md", "csv", "latex", "json"]
FORMS: tuple[Form, ...] = get_args(Form)
"""``text`` is for people: in colours on a terminal, aligned columns in a pipe."""
