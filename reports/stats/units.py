"""What a claim is about: further domains, further domains of several data sets, or further data sets.

Each kind knows the test that holds its level, and everything that goes with it: interval, equivalence, the number of units
that it would take. Means are those of units over seeds, gains have shape (units, seeds), both in points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from . import signflip, strata
from .bootstrap import two_level_interval
from .effect import Floats, t_interval
from .equivalence import tost
from .fixed import on_these_domains
from .power import MOST_DOMAINS, domains_needed, spread
from .signflip import Alternative, sign_flip
from .strata import Components, components, stratified_mean

NAN = float("nan")


@dataclass(frozen=True)
class Domains:
    """Target domains of one data set are the units, exchangeable: the sign-flip test on their means.

    Attributes:
        names: of the units.
    """

    names: tuple[str, ...]
    word: ClassVar[str] = "domain"
    about: ClassVar[str] = (
        "p: sign-flip test on domain means, for domains in general; p here: over seeds, for these domains only."
    )
    about_differences: ClassVar[str] = (
        "p: of no difference, for domains in general; p here: for these only; p all gain: of the conjunction, one-sided."
    )

    @property
    def weights(self) -> Floats:
        """Return what each unit counts in the mean, 1 on average."""
        return np.ones(len(self.names))

    def mean(self, values: Floats) -> float:
        """Return the mean over units of what has shape (units, seeds)."""
        return float((self.weights * values.mean(axis=1)).mean())

    def p(self, means: Floats, alternative: Alternative) -> Floats:
        """Return p-values of the hypothesis of no gain, from means of shape (..., units)."""
        return sign_flip(means, alternative)

    def p_here(self, gains: Floats) -> float:
        """Return the two-sided p-value for exactly these units, seeds the only chance."""
        return float(on_these_domains(gains, self.weights))

    def smallest_p(self, alternative: Alternative) -> float:
        """Return the smallest p-value that any data could give; above alpha nothing can be decided."""
        return signflip.smallest_p(len(self.names), alternative)

    def fewest(self, alpha: float, alternative: Alternative = "greater") -> int | None:
        """Return how many units, these or more, could show an effect at alpha; None where no number could."""
        numbers = range(len(self.names), MOST_DOMAINS + 1)
        return next((n for n in numbers if signflip.smallest_p(n, alternative) <= alpha), None)

    def too_few(self, alpha: float) -> str:
        """Say why no data can show a gain, one-sided, at alpha; empty where some could."""
        n, least = len(self.names), self.smallest_p("greater")
        if least <= alpha:
            return ""
        fewest = self.fewest(alpha)
        takes = f"at level {alpha:g} no number of them is enough" if fewest is None else f"it takes {fewest}"
        what = {"domain": "target domain"}.get(self.word, self.word)
        return f"with {n} {what if n == 1 else f'{what}s'} no result can have a p below {least:.3g}; {takes}"

    def interval(self, means: Floats, level: float) -> tuple[float, float, float]:
        """Return (mean, low, high) from means of shape (units,)."""
        return t_interval(means, level)

    def p_equivalent(self, means: Floats, margin: float) -> float:
        """Return the p-value of the hypothesis that the mean lies outside the margin."""
        return float(tost(means, margin))

    def resampled(self, gains: Floats, level: float) -> tuple[float, float]:
        """Return the bootstrap's interval, a second opinion; NaN where it would be too narrow."""
        return two_level_interval(gains, level)

    def needed(self, gains: Floats, alpha: float, alternative: Alternative) -> int | None:
        """Return how many units have 80 % power if gain and spread are as measured; None if beyond reach."""
        return domains_needed(float(gains.mean()), spread(gains).of_mean(gains.shape[1]), alpha, alternative)

    def components(self, gains: Floats) -> Components | None:
        """Return where gains vary; None where there is one data set."""
        del gains
        return None


@dataclass(frozen=True)
class DataSets(Domains):
    """Data sets are the units: the sign-flip test on their means, which flips all domains of a data set at once."""

    word: ClassVar[str] = "data set"
    about: ClassVar[str] = "p: sign-flip test on data sets' means over domains, for data sets in general."
    about_differences: ClassVar[str] = (
        "p: of no difference, for data sets in general; p all gain: of the conjunction, one-sided."
    )

    def p_here(self, gains: Floats) -> float:
        """Return NaN: the claim about these domains stands with their own verdict."""
        del gains
        return NAN


@dataclass(frozen=True)
class DomainsOfDataSets(Domains):
    """Target domains are the units, inside data sets that are taken as given and count alike: Welch's t-test.

    Attributes:
        strata: the data set of each unit.
    """

    strata: tuple[str, ...]
    about: ClassVar[str] = (
        "p: t-test with the variance between domains of each data set (Welch), for further domains of these data sets, "
        "which count alike; p here: over seeds, for these domains only."
    )
    about_differences: ClassVar[str] = (
        "p: of no difference in any of these data sets, for their further domains; p here: for these domains only; p all "
        "gain: of the conjunction, one-sided."
    )

    @property
    def data_sets(self) -> tuple[str, ...]:
        """Return the data sets, each once."""
        return tuple(dict.fromkeys(self.strata))

    @property
    def weights(self) -> Floats:
        """Return what each unit counts: data sets count alike, however many domains they have."""
        counts = np.array([self.strata.count(stratum) for stratum in self.strata])
        return np.asarray(len(self.names) / (len(self.data_sets) * counts))

    def p(self, means: Floats, alternative: Alternative) -> Floats:
        """Return p-values of the hypothesis that the mean gain over these data sets is 0."""
        if self.smallest_p(alternative) == 1:
            return np.full(np.shape(means)[:-1], NAN)
        return stratified_mean(means, self.strata).p(alternative)

    def smallest_p(self, alternative: Alternative) -> float:
        """Return 0, or 1 where a data set has one domain: how much its domains vary is not known."""
        del alternative
        return float(bool(self.too_few(1.0)))

    def fewest(self, alpha: float, alternative: Alternative = "greater") -> None:
        """Return None: one domain more is of use only in a data set that has one."""
        del alpha, alternative

    def too_few(self, alpha: float) -> str:
        """Say that a data set has one domain; empty where each has more."""
        lone = sorted({s for s in self.strata if self.strata.count(s) == 1})
        return f"how much domains vary is not known of {', '.join(lone)}, with one target domain" if lone else ""

    def interval(self, means: Floats, level: float) -> tuple[float, float, float]:
        """Return (mean over data sets, low, high)."""
        found = stratified_mean(means, self.strata)
        half = NAN if self.smallest_p("greater") == 1 else float(found.half_width(level))
        return float(found.mean), float(found.mean) - half, float(found.mean) + half

    def p_equivalent(self, means: Floats, margin: float) -> float:
        """Return the p-value of the hypothesis that the mean over data sets lies outside the margin."""
        return float(stratified_mean(means, self.strata).p_equivalent(margin))

    def resampled(self, gains: Floats, level: float) -> tuple[float, float]:
        """Return NaN: three or four domains of a data set are too few to resample."""
        del gains, level
        return NAN, NAN

    def needed(self, gains: Floats, alpha: float, alternative: Alternative) -> int | None:
        """Return how many domains, the same number of each data set, have 80 % power; None if beyond reach."""
        if self.smallest_p(alternative) == 1:
            return None
        return strata.units_needed(gains.mean(axis=1), self.strata, alpha, alternative)

    def components(self, gains: Floats) -> Components | None:
        """Return where gains vary: between data sets, domains and seeds."""
        return components(gains, self.strata) if len(self.data_sets) < len(self.strata) else None
