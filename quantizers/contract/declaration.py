"""A contract check about what a class says of itself. It takes a factory and raises AssertionError."""

from __future__ import annotations

from typing import get_args

from ..base import Family, Role
from .trial import MakeQuantizer, Skip, expect, specs


def check_declaration(make: MakeQuantizer) -> Skip | None:
    """The class names its role and family and says in one line what it does; a class with a name of its own does not inherit it."""
    for spec in specs(make)[:1]:
        kind = type(make(spec))
        roles = get_args(Role)
        expect(kind.role in roles, spec, f"role must be one of {', '.join(roles)}, got {kind.role!r}")
        families = get_args(Family)
        expect(kind.family in families, spec, f"family must be one of {', '.join(families)}, got {kind.family!r}")
        meaning = kind.meaning
        one_line = isinstance(meaning, str) and bool(meaning.strip()) and len(meaning.splitlines()) == 1
        expect(one_line, spec, f"meaning must be one line that says what the method does, got {meaning!r}")
        named = next(base for base in kind.__mro__ if "name" in vars(base))
        own = any("meaning" in vars(base) for base in kind.__mro__[: kind.__mro__.index(named) + 1])
        expect(own, spec, f"{kind.name!r} inherits the meaning of another method, {meaning!r}; write its own")
    return None
