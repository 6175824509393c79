"""What a quantizer is in an experiment: the float baseline, a control that does not quantize, or a method.

The class says so (`quantdg.quantizers.base.Quantizer`), and a record keeps it, so that a control of another package
counts as one. Records of before 0.4 say nothing: theirs follows from the name, and this table never grows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Role = Literal["baseline", "control", "method"]
ROLES: tuple[Role, ...] = ("baseline", "control", "method")
"""In reading order."""


class Standing(NamedTuple):
    """A quantizer's role, and for a control what it does, in words that follow "more than"."""

    role: str
    meaning: str = ""


STANDARD_CONTROLS = {
    "freeze": "freezing the convolutions at the same step",
    "round_freeze": "rounding once and freezing",
    "uniform_noise": "noise of the same size",
}
"""The controls that every gain must beat, whether a run has them or not."""


def known_standing(quantizer: str) -> Standing:
    """The standing that follows from a name alone; a name that is not in the table is a method."""
    if quantizer == "float":
        return Standing("baseline")
    if quantizer in STANDARD_CONTROLS:
        return Standing("control", STANDARD_CONTROLS[quantizer])
    return Standing("method")
