"""The shape every network has, so that algorithms and layer rules can rely on two names."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class DGModel(nn.Module):
    """``classifier(featurizer(x))``, DomainBed's division.

    Args:
        featurizer: images (N, C, H, W) to features (N, n_features).
        n_features: width of the features.
        classes: width of the output.
    """

    def __init__(self, featurizer: nn.Module, n_features: int, classes: int) -> None:
        super().__init__()
        self.featurizer = featurizer
        self.classifier = nn.Linear(n_features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        out: Tensor = self.classifier(self.featurizer(x))
        return out


ModelFactory = Callable[[tuple[int, int, int], int], DGModel]
"""Builds a network from the image shape (C, H, W) and the number of classes, drawing from torch's generator."""
