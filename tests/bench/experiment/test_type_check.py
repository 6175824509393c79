"""Settings against the types written beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from quantdg.bench.experiment.launcher import Launcher
from quantdg.bench.experiment.type_check import check_types, hints_of
from quantdg.core.errors import ConfigError


@dataclass(frozen=True)
class Example:
    number: float = 1.0
    count: int | None = None
    flag: bool = False
    kind: Literal["a", "b"] = "a"
    pair: tuple[int, ...] = ()
    places: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None


GOOD = [
    {"number": 1, "count": None, "flag": True, "kind": "b", "pair": [1, 2], "places": (), "options": {}},
    {"number": 0.5, "count": 3, "pair": (), "places": ["x"], "path": "a word", "unknown": object()},
]
BAD = [
    ({"number": "1"}, "x.number must be a number, got '1'"),
    ({"number": True}, "x.number must be a number, got True"),
    ({"count": 1.0}, "x.count must be a whole number or null, got 1.0"),
    ({"count": True}, "a whole number or null, got True"),
    ({"flag": 1}, "x.flag must be true or false, got 1"),
    ({"kind": 3}, "x.kind must be a or b, got 3"),
    ({"kind": "c"}, "x.kind must be a or b, got 'c'"),
    ({"pair": 3}, "x.pair must be a list, each a whole number, got 3"),
    ({"pair": [1, "b"]}, r"each a whole number, got \[1, 'b'\]"),
    ({"places": "word"}, "x.places must be a list, each a word, got 'word'"),
    ({"path": 3}, "x.path must be a path or null, got 3"),
    ({"options": []}, r"x.options must be settings, got \[\]"),
]


@pytest.mark.parametrize("values", GOOD)
def test_what_fits_passes(values: dict[str, Any]) -> None:
    check_types("x", hints_of(Example), values)


@pytest.mark.parametrize(("values", "message"), BAD)
def test_what_does_not_fit_is_told(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_types("x", hints_of(Example), values)


def test_annotations_are_read_through_inheritance_and_left_alone_where_they_cannot_be() -> None:
    assert hints_of(Launcher)["threads"] is int

    def odd(x: Missing) -> None:  # type: ignore[name-defined]  # noqa: F821
        """Its annotation exists for type checkers only."""

    assert hints_of(odd) == {}
