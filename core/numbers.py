"""Numbers that can be reckoned with, among settings of any kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .errors import ConfigError

_SMALLEST, _LARGEST, _LARGEST_WHOLE = 1e-30, 1e30, 2**63 - 1


def check_numbers(what: str, value: Any) -> None:
    """Raise ConfigError for a number, also inside lists and settings, that is not finite or beyond any use.

    Args:
        what: the setting, as it is written on a command line.
        value: plain data; what is neither a number nor holds any passes.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            check_numbers(f"{what}.{name}", inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            check_numbers(what, inner)
    elif isinstance(value, float) and not (value == 0 or _SMALLEST <= abs(value) <= _LARGEST):
        size = f"0 or of a size from {_SMALLEST:g} to {_LARGEST:g}" if math.isfinite(value) else "a finite number"
        raise ConfigError(f"{what} must be {size}, got {value}; write a number such as 0.001")
    elif isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        raise ConfigError(f"{what} must be a whole number up to {_LARGEST_WHOLE}, got one of {len(str(value))} digits")


def canonical(value: Any) -> Any:
    """Return nested settings with one form for each value: a whole number has no fraction, so that 1.0 is 1."""
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def meaning(value: Any) -> str:
    """Return a text that two pieces of plain data share where they are the same setting: 1 and 1.0 are, 1 and true are not."""
    return repr(canonical(value))
