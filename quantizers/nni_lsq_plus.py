r"""NNI LSQ+: learned scale and learned offset as Neural Network Intelligence 3.0 ships them.

    w_q = s (round(clip(w / s + z, -Qp, Qp)) - z),   Qp = 2^(b-1) - 1
    ds: round(v) - v inside, v = w / s + z; -Qp - z or Qp - z outside; times 1 / sqrt(N Qp), N = all values
    dz: -s outside, 0 inside, without a factor;   dw = 1 inside, else 0

Start as shipped: s = 0.01 and z = Qp for every tensor, so that all codes but one are for negative weights, and NNI writes
both again at each forward until the first optimizer step is done. A learned z is no whole number; the grid is exported as
a code book of one scale, so that scales per channel, each with its own z, are refused.

Reference: Bhalgat et al., "LSQ+", arXiv 2004.09576, as implemented in NNI 3.0 (LsqPlusQuantizer).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .base import LEARNING_RATE
from .fake_quant import QParams
from .nni_adapter import INPUT, NNISiteQuantizer
from .nni_lsq import NNILSQQuant, start_all
from .spec import SiteSpec


class NNILSQPlusQuant(NNILSQQuant):
    """This wraps NNI's LsqPlusQuantizer."""

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return an input's grid with its offset, or the levels of a weight in units of the scale."""
        if self.target == INPUT:
            return super().qparams(x)
        scale, zero = self.get("scale").detach(), self.get("zero_point").detach()
        codes = torch.arange(self.get("qmin"), self.get("qmax") + 1, dtype=scale.dtype, device=scale.device)
        return QParams.of_levels(scale.reshape(()), codes - zero)


class NNILSQPlus(NNISiteQuantizer):
    """NNI LSQ+ runs NNI's LsqPlusQuantizer: a learned scale and a learned offset of weights and inputs."""

    name = "nni_lsq_plus"
    family = "learned"
    reference = "Bhalgat et al., LSQ+, arXiv 2004.09576, in NNI 3.0"
    meaning = "rounding with a learned scale and offset, as NNI implements it"
    nni_class = "LsqPlusQuantizer"
    quant = NNILSQPlusQuant
    affine = True
    per_tensor_only = "a learned offset for each channel has no export"
    ranges = LEARNING_RATE

    def weight_config(self, site: SiteSpec) -> dict[str, Any]:
        """Use NNI's int type; it knows the affine scheme only."""
        return {"quant_dtype": f"int{site.weight_bits}", "quant_scheme": "affine", "granularity": "default"}

    def act_config(self, site: SiteSpec) -> dict[str, Any]:
        """Use the same for an input, which therefore has signed codes."""
        return {"quant_dtype": f"int{site.act_bits}", "quant_scheme": "affine", "granularity": "default"}

    def refuses(self, site: SiteSpec) -> str:
        """Refuse a zero point that is fixed at 0: NNI learns it in any scheme."""
        if site.symmetric:
            return "NNI's LSQ+ learns the offset of weights too; write symmetric=false"
        return super().refuses(site)

    @torch.no_grad()
    def on_step(self, model: nn.Module, step: int) -> None:
        """Do what NNI's patched optimizer does after its first step."""
        super().on_step(model, step)
        start_all(model)
