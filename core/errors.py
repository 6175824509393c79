"""The exception tree.

QuantDGError                 every error this package raises on purpose
├── ConfigError              a setting is unknown, out of range or contradicts another
│   └── UnknownNameError     a name that does not exist; carries the nearest one that does
├── DataError                an image, a folder or a data set is not usable as asked
├── RecordError              a stored record or run folder cannot be read
├── QuantizerError           a quantizer broke its contract or was used wrongly
│   ├── NoMatchError         a rule whose pattern matches no layer
│   └── PackedModelError     the stored model is not the one that was measured
├── MissingPackageError      an optional package is not installed; carries the pip line
├── DivergedError            training produced a number that is not finite
└── MeasurementError         a process that measures time ended without a result
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class QuantDGError(Exception):
    """This is the root of the tree; the command line prints its message in one line and exits with 2."""


class ConfigError(QuantDGError):
    """A setting is unknown, out of range or contradicts another."""


class UnknownNameError(ConfigError):
    """There is no such name.

    Args:
        kind: what was looked up, for example ``"quantizer"``.
        name: what was asked for.
        known: the names that exist.
        near: those of them that may be meant, the likeliest first; None: the one that is most alike.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], near: Iterable[str] | None = None) -> None:
        choices = sorted(known)
        close = get_close_matches(name, choices, n=1, cutoff=0.4) if near is None else list(near)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        super().__init__(f"no {kind} named {name!r}{hint} (there are: {', '.join(choices) or 'none'})")


class DataError(QuantDGError):
    """An image, a folder or a data set is not usable as asked."""


class RecordError(QuantDGError):
    """A stored record or run folder cannot be read."""


class QuantizerError(QuantDGError):
    """A quantizer broke its contract or was used wrongly."""


class NoMatchError(QuantizerError):
    """The pattern of a rule matches no layer."""


class PackedModelError(QuantizerError):
    """The stored model does not compute what the trained network computes."""


class MissingPackageError(QuantDGError):
    """An optional package is not installed; the message carries the pip line."""


class DivergedError(QuantDGError):
    """Training produced a loss, or a result, that is not finite."""


class MeasurementError(QuantDGError):
    """A process that measures time ended without a result."""


LONGEST = 1000
"""Characters of another package's message: torch lists every weight that does not fit."""


def one_line(error: BaseException, *, kind: bool = True) -> str:
    """Return an exception as one line for a record or a person.

    Args:
        error: any exception.
        kind: whether the class stands before the message of an error that is not from this package.
    """
    text = " ".join(_message(error).split()) or "no message"
    if isinstance(error, QuantDGError):
        return text
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return f"{type(error).__name__}: {text}" if kind else text


def _message(error: BaseException) -> str:
    """What an exception says, where it can say it, in characters that a file can hold: those of a broken file name are escaped."""
    try:
        return str(error).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001 - the class of another package may have any mistake
        return "a message that cannot be written"
