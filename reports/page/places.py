"""The page's list of what its numbers lead to."""

from __future__ import annotations

from collections.abc import Iterable


def ranges(places: Iterable[int]) -> str:
    """Write distinct places, ascending and short: ``0-11,14``."""
    distinct = set(places)
    first = sorted(place for place in distinct if place - 1 not in distinct)
    last = sorted(place for place in distinct if place + 1 not in distinct)
    return ",".join(f"{a}-{b}" if a != b else str(a) for a, b in zip(first, last, strict=True))


class Places:
    """Keys of records and names of files of the run folder, each with its place in the page's list."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Begin the list with ``keys``, which are distinct."""
        self._index = {key: i for i, key in enumerate(keys)}
        self._written: dict[tuple[str, ...], str] = {}

    def of(self, keys: tuple[str, ...]) -> str:
        """Return the places of ``keys`` as `ranges`; what is not in the list yet is appended to it."""
        if keys not in self._written:
            for key in keys:
                self._index.setdefault(key, len(self._index))
            self._written[keys] = ranges(map(self._index.__getitem__, keys))
        return self._written[keys]

    @property
    def keys(self) -> list[str]:
        """Return the list."""
        return list(self._index)
