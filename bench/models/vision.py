"""Networks of torchvision, split into featurizer and classifier."""

from __future__ import annotations

from torch import nn
from torchvision import models

from quantdg.bench.models.base import DGModel
from quantdg.core.errors import ConfigError, UnknownNameError

HEADS = ("fc", "classifier", "heads", "head")


def vision(shape: tuple[int, int, int], classes: int, *, arch: str, weights: str | None = None) -> DGModel:
    """A torchvision classification network with a fresh classifier.

    Args:
        shape: (C, H, W) of the images; C must be 3.
        classes: number of classes.
        arch: torchvision's name, for example ``resnet18``.
        weights: torchvision's name of pre-trained weights, for example ``IMAGENET1K_V1``, or None.
    """
    if shape[0] != 3:
        raise ConfigError(f"torchvision networks need 3 channels, the data set has {shape[0]}; use model=convnet")
    if arch not in models.list_models(models):
        raise UnknownNameError("torchvision model", arch, models.list_models(models))
    network = models.get_model(arch, weights=weights)
    for name in HEADS:
        head = getattr(network, name, None)
        linear = head if isinstance(head, nn.Linear) else None
        if isinstance(head, nn.Sequential) and isinstance(head[-1], nn.Linear):
            linear, head[-1] = head[-1], nn.Identity()
        elif linear is not None:
            setattr(network, name, nn.Identity())
        if linear is not None:
            return DGModel(network, linear.in_features, classes)
    raise ConfigError(f"torchvision's {arch} has no linear classifier under {', '.join(HEADS)}; choose another model")
