"""The one timing harness: models take turns inside each round, so that drift of the machine hits all alike.

The order alternates between rounds. Each sample follows one call that is not counted: the caches hold the other model's
data by then, and a model deployed alone finds its own. Imports no torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

Call = Callable[[], object]
Clock = Callable[[], float]

WARM_UP, FEWEST_ROUNDS = 3, 7
SAMPLE_S, STEADY_S, STEADY_CALLS = 0.005, 0.05, 12
"""A sample averages as many calls as take the first; more, up to the last, while they take at most the second."""


def sample_interleaved(
    models: Sequence[Call], rounds: int, seconds: float, calls: int = 1, *, clock: Clock = time.perf_counter
) -> list[list[float]]:
    """Time calls of several models in turn, after warming each up.

    Args:
        models: each makes one forward call.
        rounds: taken at most, one sample of each model in each.
        seconds: of wall time after which at least 7 rounds are enough.
        calls: whose mean is one sample.
        clock: in seconds; wall time unless another is given.

    Returns:
        for each model its samples in milliseconds a call, one a round.
    """
    times: list[list[float]] = [[] for _ in models]
    for model in models:
        seconds_a_call(model, WARM_UP, clock)
    order = list(zip(models, times, strict=True))
    started = time.perf_counter()
    for done in range(rounds):
        if done >= FEWEST_ROUNDS and time.perf_counter() - started > seconds:
            break
        for model, own in order if done % 2 else reversed(order):
            model()
            own.append(1000 * seconds_a_call(model, calls, clock))
    return times


def steady_calls(models: Sequence[Call], clock: Clock) -> int:
    """Return how many calls a sample of these models should average, by the slowest of them."""
    for model in models:
        seconds_a_call(model, WARM_UP, clock)
    slow = max(seconds_a_call(model, WARM_UP, clock) for model in models)
    return max(math.ceil(SAMPLE_S / slow), min(STEADY_CALLS, int(STEADY_S / slow)))


def seconds_a_call(model: Call, calls: int, clock: Clock) -> float:
    """Return the mean time of ``calls`` calls in a row."""
    began = clock()
    for _ in range(calls):
        model()
    return float(clock() - began) / calls
