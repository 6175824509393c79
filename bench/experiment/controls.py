"""A control acts on weights: bits of layer inputs that are set for all quantizers at once pass it by."""

from __future__ import annotations

from ...core.errors import QuantDGError
from ...quantizers.sites import SiteQuantizer
from .component import import_object


def acts_on_weights_only(target: str) -> bool:
    """Return whether the quantizer at this import path is a control that has no quantizer of inputs."""
    try:
        kind = import_object(target)
    except QuantDGError:  # whoever needs it will say why
        return False
    own = getattr(kind, "act_quantizer", None)
    return getattr(kind, "role", "") == "control" and own in (None, SiteQuantizer.act_quantizer)


def passed_by(name: str, act_bits: int) -> str:
    """Return the sentence that plan and record say then."""
    return f"{name} is a control and acts on weights only, so act_bits={act_bits} does not apply to it"
