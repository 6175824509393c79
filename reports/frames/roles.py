"""Which of a report's quantizers are the baseline, which controls and which methods, as the records say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...bench.results.roles import ROLES, STANDARD_CONTROLS, Standing, known_standing


def base_name(quantizer: str) -> str:
    """Return the configuration's name in a label such as ``lsq (lr_ratio=0.1)``."""
    return quantizer.partition(" (")[0]


@dataclass(frozen=True)
class Roles:
    """Knows the standing of each quantizer.

    Attributes:
        declared: what the records say, by the quantizer's label in this report; a label that is not there has the
            standing that its name is known for.
    """

    declared: Mapping[str, Standing] = field(default_factory=dict)

    @classmethod
    def of(cls, said: Iterable[tuple[str, str, str]]) -> Roles:
        """Collect what records say.

        Records of one quantizer may disagree: where its package was not installed, none could say what it is and the
        record calls it a method. The role that comes first in reading order counts.

        Args:
            said: (label, role, meaning) of records, in any order and number.
        """
        declared: dict[str, Standing] = {}
        for label, role, meaning in sorted(set(said)):
            if label not in declared or ROLES.index(role) < ROLES.index(declared[label].role):
                declared[label] = Standing(role, meaning)
        return cls(declared)

    def _standing(self, quantizer: str) -> Standing:
        return self.declared.get(quantizer) or known_standing(base_name(quantizer))

    def rank(self, quantizer: str) -> int:
        """Return the place of a quantizer's role in reading order: the baseline, then controls, then methods."""
        return ROLES.index(self._standing(quantizer).role)

    def is_method(self, quantizer: str) -> bool:
        """Say whether a label belongs to a quantizer proper, neither to the baseline nor to a control."""
        return self._standing(quantizer).role == "method"

    def expected_controls(self, quantizers: Iterable[str]) -> dict[str, str]:
        """Return the controls that a gain must beat, in reading order.

        Args:
            quantizers: labels of what was run.

        Returns:
            What each control does, in words, by label: those that were run, and the standard ones that were not.
        """
        run = {name for name in quantizers if self._standing(name).role == "control"}
        absent = STANDARD_CONTROLS.keys() - {base_name(name) for name in run}
        return {name: self._standing(name).meaning or name for name in sorted(run | absent)}
