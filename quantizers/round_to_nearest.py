r"""Round to nearest: the post-training baseline.

    w_q = s (clip(round(w / s) + z, qmin, qmax) - z),   s from the weights as they are when training has ended

What every other post-training method is measured against. Range: the smallest rounding error (``base: mse``) or the
weights' extremes (``base: min_max``). Life in a training: `post_training`.

Reference: Krishnamoorthi, "Quantizing Deep Convolutional Networks for Efficient Inference", arXiv 1806.08342, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .insertion import sites_of
from .post_training import PostTraining


class RoundToNearest(PostTraining):
    """RoundToNearest rounds the weights of a finished float network to their nearest codes."""

    name = "round_to_nearest"
    reference = "Krishnamoorthi, Quantizing Deep Convolutional Networks, arXiv 1806.08342"
    meaning = "rounding the finished float network"
    needs_inputs = False

    def round_weights(self, model: nn.Module, batches: Sequence[Tensor]) -> None:
        """Take the nearest codes, which each site has already."""
        for _, site in sites_of(model):
            site.weight_quant.quantized.fill_(True)
