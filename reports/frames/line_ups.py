"""Which results stand side by side where several data sets were run: one section of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..text import escape
from .columns import Section

Setup = tuple[str, str]
"""(model, protocol)"""


@dataclass(frozen=True)
class LineUp:
    """One section of each of at least two data sets.

    Attributes:
        sections: sorted, no data set twice.
    """

    sections: tuple[Section, ...]

    @property
    def datasets(self) -> tuple[str, ...]:
        """Return the data sets, sorted."""
        return tuple(dataset for dataset, _, _ in self.sections)

    @property
    def independent(self) -> bool:
        """Say whether each is a data set of its own; one at several severities (``digits@0.5``) is the same images again."""
        return len({dataset.partition("@")[0] for dataset in self.datasets}) == len(self.datasets)

    @property
    def setups(self) -> dict[Setup, list[str]]:
        """Return the data sets of each model and protocol, in reading order."""
        found: dict[Setup, list[str]] = {}
        for dataset, model, protocol in self.sections:
            found.setdefault((model, protocol), []).append(dataset)
        return found

    @property
    def _kinds(self) -> list[list[str]]:
        """The models and the protocols, each once."""
        return [[*dict.fromkeys(parts)] for parts in zip(*self.setups, strict=True)]

    @property
    def model(self) -> str:
        """Name the model; several are joined by ``+``."""
        return " + ".join(self._kinds[0])

    @property
    def words(self) -> str:
        """Name model and protocol as a title has them; several of one kind are joined by ``+``."""
        return "{}, protocol {}".format(*map(" + ".join, self._kinds))

    @property
    def scope(self) -> str:
        """Name data sets, model and protocol as the verdict has them."""
        return ", ".join(map(" + ".join, (self.datasets, *self._kinds)))

    @property
    def name(self) -> str:
        """Return a part of a file name."""
        return "-".join(escape.slug(part) for kinds in self._kinds for part in kinds)


def line_ups(sections: Iterable[Section]) -> list[LineUp]:
    """Find what can stand side by side, in reading order.

    Data sets of one model and protocol form a line-up. A data set that was run once, under a model or protocol of its
    own, joins each of them, or all such data sets together form one: a benchmark may give each data set the model and
    the number of steps that suit it. A data set that was run several times is never in a line-up with a
    section that another of its sections matches as well.

    Args:
        sections: (data set, model, protocol), distinct.

    Returns:
        Empty where no two data sets match.
    """
    known = sorted(sections)
    runs, shared = Counter(s[0] for s in known), Counter(s[1:] for s in known)
    own = [s for s in known if runs[s[0]] == shared[s[1:]] == 1]
    setups = dict.fromkeys(s[1:] for s in known if s not in own)
    groups = [[s for s in known if s[1:] == setup or s in own] for setup in setups] or [own]
    return [LineUp(tuple(group)) for group in groups if len(group) > 1]
