r"""NNI DoReFa: weights through tanh onto even levels from -1 to 1, as Neural Network Intelligence 3.0 ships them.

    t = tanh(w) / (2 max|tanh w|) + 1/2,   w_q = 2 round(t (2^b - 1)) / (2^b - 1) - 1
    dw_q/dw = dt/dw times 2, through tanh and through the maximum

The largest weight of each layer becomes 1, whatever it was: under held BatchNorm statistics a trained network changes
at insertion (`quantdg.quantizers.dorefa` keeps the weight's own scale). One grid for the tensor,
the only one NNI offers; no level is 0. Inputs are left in float: NNI takes their range from the batch at hand, in evaluation
too, so that there is no grid to export.

Left out: NNI's own loop also rounds the gradients of a layer's output, with noise from the global generator.

Reference: Zhou et al., "DoReFa-Net", arXiv 1606.06160, as implemented in NNI 3.0 (DoReFaQuantizer).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .fake_quant import QParams
from .nni_adapter import NNIQuant, NNISiteQuantizer
from .spec import SiteSpec


class NNIDoReFaQuant(NNIQuant):
    """This wraps NNI's DoReFaQuantizer."""

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the levels from -1 to 1 in NNI's own arithmetic."""
        scale = self.get("scale").detach()
        codes = torch.arange(self.get("qmin"), self.get("qmax") + 1, dtype=scale.dtype, device=scale.device)
        levels = 2 * ((codes - self.get("zero_point")) * scale) - 1
        return QParams.of_levels(torch.ones_like(scale).reshape(()), levels)


class NNIDoReFa(NNISiteQuantizer):
    """NNI DoReFa runs NNI's DoReFaQuantizer on weights; nothing is learned but them."""

    name = "nni_dorefa"
    family = "uniform"
    reference = "Zhou et al., DoReFa-Net, arXiv 1606.06160, in NNI 3.0"
    meaning = "rounding tanh of the weight onto even levels from -1 to 1, as NNI implements it"
    nni_class = "DoReFaQuantizer"
    quant = NNIDoReFaQuant
    beyond = "passed"
    per_tensor_only = "NNI offers no other"

    def weight_config(self, site: SiteSpec) -> dict[str, Any]:
        """Use unsigned codes, which have the paper's 2^b levels; NNI's signed ones have one fewer."""
        return {"quant_dtype": f"uint{site.weight_bits}", "quant_scheme": "affine", "granularity": "default"}

    def refuses(self, site: SiteSpec) -> str:
        """Refuse inputs, whose range is that of each batch."""
        if site.act_bits is not None:
            return f"NNI's DoReFa has no fixed grid of inputs, got act_bits={site.act_bits}; write act_bits=null"
        return super().refuses(site)
