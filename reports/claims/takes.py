"""What would decide a claim, in the words of the answer on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from ..stats.signflip import Alternative
from ..stats.units import Domains
from ..verdict.claims import Claim
from ..verdict.needed import needed_text, too_few
from .finding import Word


def missing_cells(each: Iterable[Claim]) -> str:
    """Say how many pairs are there."""
    claims = list(each)
    there, wanted = (sum(c.so_far[i] for c in claims) for i in (1, 2))
    return f"It takes the missing cells: the same command runs them; {there} of {wanted} pairs are there."


def what_it_takes(word: Word, weakest: Claim, units: Domains, alpha: float, alternative: Alternative) -> str:
    """Say what would decide it, as the answer on the terminal does."""
    if word == "incomplete":
        return missing_cells([weakest])
    if word == "not decidable":
        return too_few(units, alpha, alternative)
    if word != "not shown" or weakest.effect is None:
        return ""
    if weakest.effect.mean <= 0:
        return "More domains would not show it: the effect points the other way on those that are here."
    return f"It takes {needed_text(weakest.needed, 'about ')} domains to show it, if it is as large as measured."
