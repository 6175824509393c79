"""The things compared: one interface, one file for each quantization method."""

from quantdg.quantizers.base import (
    ActQuant,
    Audit,
    Plan,
    QTensor,
    Quantizer,
    SiteAudit,
    SiteExport,
    Skipped,
    Support,
)
from quantdg.quantizers.spec import QuantSpec, Rule, SiteSpec

__all__ = [
    "ActQuant",
    "Audit",
    "Plan",
    "QTensor",
    "QuantSpec",
    "Quantizer",
    "Rule",
    "SiteAudit",
    "SiteExport",
    "SiteSpec",
    "Skipped",
    "Support",
]
