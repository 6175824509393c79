"""Trials proposed by Optuna's tree-structured Parzen estimator, one at a time for each row, from source validation alone.

The first trials are those of the random search, so that rows share them and their float phases. Each further one is proposed by
a fresh sampler that is shown all earlier trials of the row: the folder is all the state there is, and a search that was stopped
goes on with what is in it.

Reference: Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011; Akiba et al., "Optuna", KDD 2019.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import MissingPackageError
from ...core.ranges import DIGITS, Choice, Log, Range
from ..experiment.trials import Values

STARTUP = 10
"""Trials of the random search before the first proposal; Optuna's default."""


def import_optuna() -> Any:
    """Import Optuna; MissingPackageError with the line that installs it."""
    try:
        import optuna  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingPackageError(
            f"search.sampler=tpe needs optuna, which is not installed here ({error}); pip install 'quantdg[optuna]'"
        ) from error
    return optuna


def propose(space: Mapping[str, Range], seen: Sequence[tuple[Values, float]], seed: str) -> dict[str, Any]:
    """Return hyper-parameters to try next.

    Args:
        space: the range of each, by name.
        seen: earlier trials with their source validation, NaN for one without a result. What lies outside of the ranges, as
            defaults may, is not shown to the sampler.
        seed: equal arguments give an equal proposal.
    """
    optuna = import_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(n_startup_trials=0, seed=number)
    )
    kinds = {name: _distribution(own) for name, own in space.items()}
    for values, score in seen:
        told = {name: values[name] for name in space if name in values}
        inside = set(told) == set(space) and all(_holds(space[name], value) for name, value in told.items())
        if inside and not math.isnan(score):
            study.add_trial(optuna.trial.create_trial(params=_indices(space, told), distributions=kinds, value=score))
    asked = study.ask(kinds)
    return {name: _value(own, asked.params[name]) for name, own in space.items()}


def _distribution(own: Range) -> Any:
    kinds = import_optuna().distributions
    if isinstance(own, Choice):
        return kinds.CategoricalDistribution(range(len(own.values)))
    low, high = own.ends
    kind = kinds.IntDistribution if own.whole else kinds.FloatDistribution
    return kind(low, high, log=isinstance(own, Log))


def _holds(own: Range, value: Any) -> bool:
    if isinstance(own, Choice):
        return value in own.values
    low, high = own.ends
    return bool(low <= value <= high)


def _indices(space: Mapping[str, Range], values: Values) -> dict[str, Any]:
    """With the place in the list for a value of a choice, which may be of any kind."""
    return {
        name: own.values.index(values[name]) if isinstance(own, Choice) else values[name] for name, own in space.items()
    }


def _value(own: Range, found: Any) -> Any:
    if isinstance(own, Choice):
        return own.values[found]
    return found if own.whole else min(max(float(f"{found:.{DIGITS}g}"), own.low), own.high)
