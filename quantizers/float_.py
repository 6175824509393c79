r"""Float: nothing is quantized, the reference every other row is compared with.

    w_q = w,  x_q = x

Reference: none; empirical risk minimisation in float32 as in Gulrajani and Lopez-Paz, "In Search of Lost Domain
Generalization", ICLR 2021.
"""

from __future__ import annotations

from torch import Tensor, nn

from .base import Audit, Plan, Quantizer
from .export import SiteExport


class Float(Quantizer):
    """Float leaves the model alone: empty plan, empty audit, nothing to export."""

    name = "float"
    reference = "full-precision training"
    role = "baseline"
    meaning = "no quantization"
    family = "float"

    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Insert nothing; the spec is not read."""
        self.plan = Plan()
        return self.plan

    def audit(self, model: nn.Module) -> Audit:
        """Return an audit without sites."""
        return Audit(self.name, {})

    def export(self, model: nn.Module) -> dict[str, SiteExport]:
        """Return no integers, since the weights are float."""
        return {}
