r"""ZSAQ: ZAQ with a flat minimum for the quantized network, data-free as it is.

    each step of q lowers D at w_q + e,   e = rho g / ||g||,   g = dD/dw_q at w_q, over all quantized weights together

Our reading. The paper's method is for language models, and no text with equations and no code could be read: confirmed are a
generator that raises the distance of the networks, a quantized network that lowers it, and sharpness-aware minimisation
of the latter. Ours are everything of `zaq`, and that e is added behind the rounding, as SAQ adds it (`step_rule=saq`): an e
on the latent weights would mostly be rounded away. Two passes of q a step instead of one.

Reference: "Zero-shot Sharpness-Aware Quantization for Pre-trained Language Models", EMNLP 2023, arXiv 2310.13315 (idea);
Foret et al., "Sharpness-Aware Minimization", ICLR 2021 (the rule).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..core.errors import ConfigError
from .feature_maps import FeatureMaps, Forwarded
from .learned_codes import Weights
from .spec import QuantSpec
from .zaq import ZAQ


class ZSAQ(ZAQ):
    """ZSAQ is ZAQ with sharpness-aware steps of the quantized network, by our reading.

    Args:
        spec: what to quantize.
        rho: length of the perturbation of all quantized weights, above 0.
        options: the settings of `ZAQ`.
    """

    name = "zsaq"
    reference = "after ZSAQ, arXiv 2310.13315 (our reading of the abstract)"
    meaning = "rounding the finished float network as changes its outputs least, also nearby, on images made against it"

    def __init__(self, spec: QuantSpec | None = None, *, rho: float = 0.05, **options: Any) -> None:
        super().__init__(spec, **options)
        if not rho > 0:
            raise ConfigError(f"rho must be above 0, got {rho}; write 'quantizer=[zaq]' for none")
        self.rho = rho

    def student_loss(self, weights: Weights, network: FeatureMaps, images: Tensor, theirs: Forwarded) -> Tensor:
        """Compute D at the perturbed weights."""
        here = super().student_loss(weights, network, images, theirs)
        slopes = torch.autograd.grad(here, list(weights.values()))
        length = torch.stack([slope.norm() for slope in slopes]).norm().clamp_min(1e-12)
        moved = zip(weights.items(), slopes, strict=True)
        perturbed = {quant: weight + self.rho * slope / length for (quant, weight), slope in moved}
        return super().student_loss(perturbed, network, images, theirs)
