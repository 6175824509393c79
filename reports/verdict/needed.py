"""How many domains it would take, in words."""

from __future__ import annotations

from ..stats.power import MOST_DOMAINS
from ..stats.signflip import Alternative
from ..stats.units import Domains


def needed_text(needed: int | None, before: str = "") -> str:
    """Write a number that was looked for up to `MOST_DOMAINS`; ``before`` stands before one that was found."""
    return f"more than {MOST_DOMAINS}" if needed is None else f"{before}{needed}"


def too_few(units: Domains, alpha: float, alternative: Alternative = "greater") -> str:
    """Say how many domains the test takes at least, where no result on those that are there could decide."""
    fewest = units.fewest(alpha, alternative)
    if fewest is None:
        return f"Not decidable: {units.too_few(alpha)}."
    return f"It takes at least {fewest} target domains to decide anything, here are {len(units.names)}."
