"""ERM: the mean cross-entropy over the source domains' batches (Vapnik, 1998; DomainBed's ERM)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..transforms.base import Minibatches
from .base import Algorithm, concatenate


class ERM(Algorithm):
    """It minimises CE over the concatenated batches, which is mean_d R_d for batches of equal size."""

    def losses(self, minibatches: Minibatches) -> dict[str, Tensor]:
        """Compute the cross-entropy."""
        x, y = concatenate(minibatches)
        return {"loss": F.cross_entropy(self.predict(x), y)}
