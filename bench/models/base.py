"""The shape every network has, so that algorithms and layer rules can rely on two names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ...core.errors import UnknownNameError


@dataclass(frozen=True)
class Normalisation:
    """Pre-trained weights expect ``(x - mean) / std`` per channel, of x in 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


NORMALISATIONS = {
    "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "tf": Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "clip": Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "caffe": Normalisation((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255)),
}
"""``imagenet``: torchvision and most of timm; ``tf``: x / 127.5 - 1; ``clip``: OpenAI's CLIP and OpenCLIP;
``caffe``: 0..255 minus the means, in RGB order."""


def normalisation(name: str | None) -> Normalisation | None:
    """Look a normalisation up; None stays None and leaves it to the data set. UnknownNameError for other names."""
    if name is not None and name not in NORMALISATIONS:
        raise UnknownNameError("input normalisation", name, NORMALISATIONS)
    return None if name is None else NORMALISATIONS[name]


class DGModel(nn.Module):
    """A model is ``classifier(featurizer(x))``, DomainBed's division.

    Args:
        featurizer: images (N, C, H, W) to features (N, n_features).
        n_features: width of the features.
        classes: width of the output.
        stages: names, below the featurizer, of the early modules whose outputs (N, C, H, W) MixStyle may mix.
        inputs: normalisation that the weights were trained with; None: the data set's.
    """

    def __init__(
        self,
        featurizer: nn.Module,
        n_features: int,
        classes: int,
        *,
        stages: Sequence[str] = (),
        inputs: Normalisation | None = None,
    ) -> None:
        super().__init__()
        self.featurizer = featurizer
        self.classifier = nn.Linear(n_features, classes)
        self.stages = tuple(stages)
        self.inputs = inputs

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes)."""
        out: Tensor = self.classifier(self.featurizer(x))
        return out


ModelFactory = Callable[[tuple[int, int, int], int], DGModel]
"""Builds a network from the image shape (C, H, W) and the number of classes, drawing from torch's generator."""
