"""Which cells of a grid a run takes on: what has no result, and on demand more. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, get_args

from ...core.errors import ConfigError
from ..results.find import is_named
from ..results.record import Labels
from ..results.summary import DAMAGED

if TYPE_CHECKING:
    from ..experiment.grid import Cell

Overwrite = Literal["only-missing", "never", "always"]
MISSING = "missing"
"""The state of a cell without a file; `DAMAGED` is that of one whose file cannot be read."""


@dataclass(frozen=True)
class RerunPolicy:
    """The policy says what to do about cells that have a record.

    Attributes:
        overwrite: ``only-missing``: cells without a usable result run; ``never``: no file that is there is replaced,
            whatever it says; ``always``: every cell runs again, float phases too.
        retry: ``failed``: failed cells run again too.
        force: patterns as of `is_named`, or for a key; cells that match run again.
    """

    overwrite: Overwrite = "only-missing"
    retry: Literal["failed"] | None = None
    force: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.overwrite not in get_args(Overwrite):
            raise ConfigError(f"overwrite must be one of {', '.join(get_args(Overwrite))}, got {self.overwrite!r}")
        if self.retry not in ("failed", None):
            raise ConfigError(f"retry must be failed, got {self.retry!r}; for other cells write force=PATTERN")
        if self.overwrite == "never" and (self.retry or self.force):
            raise ConfigError(
                "overwrite=never replaces nothing, so that retry= and force= contradict it; leave one out"
            )

    def forced(self, key: str, labels: Labels) -> bool:
        """Return whether a pattern names this cell."""
        return any(is_named(p, labels) or fnmatchcase(key, p) for p in self.force)

    def about(self, cells: Iterable[Cell]) -> RerunPolicy:
        """Return the policy without the patterns that name none of these cells."""
        named = [(cell.key, cell.labels) for cell in cells]
        kept = (p for p in self.force if any(RerunPolicy(force=(p,)).forced(key, labels) for key, labels in named))
        return replace(self, force=tuple(kept))

    def runs(self, key: str, labels: Labels | None, state: str) -> bool:
        """Return whether a cell in this state (a record's status, `MISSING` or `DAMAGED`) is to run.

        ``labels`` may be None where there is no pattern to match.
        """
        if self.overwrite == "never":
            return state == MISSING
        if self.overwrite == "always" or (labels is not None and self.forced(key, labels)):
            return True
        return state in (MISSING, DAMAGED, "unavailable") or (state == "failed" and self.retry == "failed")


def check_force(policy: RerunPolicy, cells: Mapping[str, Labels]) -> None:
    """Raise ConfigError for a pattern that names none of the cells."""
    for pattern in policy.force:
        if not any(RerunPolicy(force=(pattern,)).forced(key, labels) for key, labels in cells.items()):
            example = next(iter(cells.values())).path if cells else "digits/thick/0/erm/lsq/W7"
            raise ConfigError(f"force={pattern} names no cell of this grid; write for example force={example}")
