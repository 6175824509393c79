"""Proposals of Optuna's sampler: within their ranges, repeatable, and better than chance where there is something to learn."""

from __future__ import annotations

import math
import sys

import pytest

from quantdg.bench.sweep import tpe
from quantdg.core.errors import MissingPackageError
from quantdg.core.ranges import Choice, Log, Uniform, draw

SPACE = {
    "lr": Log(1e-5, 1e-1),
    "batch": Log(8, 64, whole=True),
    "p": Uniform(0, 1),
    "kind": Choice(("a", None, (1, 2))),
}


def test_a_missing_optuna_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'quantdg\[optuna\]'"):
        tpe.import_optuna()


def seen(count: int) -> list[tuple[dict, float]]:
    """Draws of the random search; the best learning rate is 1e-3."""
    trials = [{name: draw(own, 0, name, number) for name, own in SPACE.items()} for number in range(count)]
    return [(values, -abs(math.log10(values["lr"]) + 3)) for values in trials]


def test_proposals() -> None:
    pytest.importorskip("optuna")
    found = [tpe.propose(SPACE, seen(25), f"row/{number}") for number in range(8)]
    assert found[0] == tpe.propose(SPACE, seen(25), "row/0")
    for values in found:
        assert 1e-5 <= values["lr"] <= 1e-1
        assert 8 <= values["batch"] <= 64
        assert isinstance(values["batch"], int)
        assert values["kind"] in ("a", None, (1, 2))
        assert float(f"{values['lr']:.6g}") == values["lr"]
    away = [abs(math.log10(values["lr"]) + 3) for values in found]
    assert sum(away) / len(away) < 0.7, "uniform draws over four decades are 1.0 away on average"


def test_what_has_no_result_or_lies_outside_is_not_shown() -> None:
    pytest.importorskip("optuna")
    known = seen(12)
    further = [({**known[0][0], "lr": 1.0}, 0.99), (known[1][0], math.nan), ({"lr": 1e-3}, 0.5)]
    assert tpe.propose(SPACE, [*known, *further], "x") == tpe.propose(SPACE, known, "x")
