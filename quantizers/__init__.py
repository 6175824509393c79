"""The things compared: one interface, one file for each quantization method."""

from .base import (
    ActQuant,
    Audit,
    Plan,
    QTensor,
    Quantizer,
    Role,
    SiteAudit,
    SiteExport,
    Skipped,
    Support,
)
from .spec import QuantSpec, Rule, SiteSpec

__all__ = [
    "ActQuant",
    "Audit",
    "Plan",
    "QTensor",
    "QuantSpec",
    "Quantizer",
    "Role",
    "Rule",
    "SiteAudit",
    "SiteExport",
    "SiteSpec",
    "Skipped",
    "Support",
]
