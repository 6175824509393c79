r"""NNI BNN: one bit, the sign of the weight, as Neural Network Intelligence 3.0 ships it.

    w_q = 1 for w >= 0, else -1;   dw_q/dw = 1;   after each step  w <- clip(w, -1, 1)

Every weight becomes 1 or -1 whatever its size: under held BatchNorm statistics a trained network is lost at insertion,
and has to be trained again. NNI reads no width, so that only the narrowest that a spec knows is accepted, 2 bits, of
which two codes are in use. Inputs stay in float: the sign of what comes out of a ReLU is 1 everywhere.

Reference: Courbariaux et al., "Binarized Neural Networks", arXiv 1602.02830, as implemented in NNI 3.0 (BNNQuantizer).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .fake_quant import QParams
from .nni_adapter import NNIQuant, NNISiteQuantizer
from .spec import SiteSpec

WIDTH = 2


class NNIBNNQuant(NNIQuant):
    """This wraps NNI's BNNQuantizer."""

    def advance(self, weight: Tensor, step: int) -> None:
        """Do what NNI's patched optimizer does after each step."""
        weight.clamp_(-1, 1)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the codes -1 and 1 of scale 1."""
        scale = self.get("scale").detach()
        return QParams(scale, self.get("zero_point").detach(), -1, 1)


class NNIBNN(NNISiteQuantizer):
    """NNI BNN runs NNI's BNNQuantizer on weights; nothing is learned but them."""

    name = "nni_bnn"
    family = "uniform"
    reference = "Courbariaux et al., Binarized Neural Networks, arXiv 1602.02830, in NNI 3.0"
    meaning = "taking the sign of the weight, as NNI implements it"
    nni_class = "BNNQuantizer"
    quant = NNIBNNQuant
    beyond = "passed"
    per_tensor_only = "NNI offers no other"

    def weight_config(self, site: SiteSpec) -> dict[str, Any]:
        """Give no width: NNI wants the key, and reads nothing from it."""
        return {"quant_dtype": None}

    def refuses(self, site: SiteSpec) -> str:
        """Refuse widths that would not be what is computed, and inputs."""
        if site.weight_bits != WIDTH:
            return f"NNI's BNN has one bit whatever is asked, got weight_bits={site.weight_bits}; write weight_bits={WIDTH}"
        if site.act_bits is not None:
            return (
                f"the sign of an input after a ReLU is 1 everywhere, got act_bits={site.act_bits}; write act_bits=null"
            )
        return super().refuses(site)
