"""The answer to one claim on one scope."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from ..verdict.claims import NAN, Claim

Word = Literal["yes", "no", "not shown", "not decidable", "incomplete", "not run"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The answer to one claim on one scope.

    Attributes:
        word: the answer; ``no`` where the opposite is shown.
        takes: what would decide it; empty where it is decided.
        mean: the effect, in points or in the metric's unit; of several the one farthest from the claim.
        low: lower end of its interval.
        high: upper end of its interval.
        row: whose effect it is, where there are several; else empty.
        most: mean and row at the other end, where there are several.
        several: how many differences.
        p: of the test that answers, after Holm where the verdict corrects.
        n_domains: how many units.
        n_seeds: how many replicates in each.
        keys: the records behind it.
    """

    word: Word
    takes: str = ""
    mean: float = NAN
    low: float = NAN
    high: float = NAN
    row: str = ""
    most: tuple[float, str] = (NAN, "")
    several: int = 1
    p: float = NAN
    n_domains: int = 0
    n_seeds: int = 0
    keys: tuple[str, ...] = ()


def with_effect(made: Finding, tested: list[Claim], sign: int, takes: str) -> Finding:
    """Add effect, interval and counts.

    Args:
        made: the answer.
        tested: the claims behind it, the one that decides first: farthest from what is claimed, for ``some`` nearest.
        sign: 1, or -1 where differences were turned around for the test.
        takes: what would decide it.
    """
    first, last = tested[0].effect, tested[-1].effect
    if first is None or last is None:
        return replace(made, takes=takes)
    low, high = sorted((sign * first.low, sign * first.high)) if not math.isnan(first.low) else (NAN, NAN)
    most = (sign * last.mean, tested[-1].name) if made.several > 1 else (NAN, "")
    return replace(
        made, mean=sign * first.mean, low=low, high=high, most=most, takes=takes, n_domains=first.n_domains,
        n_seeds=first.n_seeds,
    )  # fmt: skip
