"""Networks of torchvision, split into featurizer and classifier."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn
from torchvision import models

from ...core.errors import ConfigError, UnknownNameError
from .base import DGModel, normalisation
from .weights import AUXILIARY, HEADS, SUFFIX, check_published, is_file, load_backbone, loading, not_at_hand

STAGES = {
    "resnet": ("layer1", "layer2", "layer3"),
    "resnext": ("layer1", "layer2", "layer3"),
    "wide_resnet": ("layer1", "layer2", "layer3"),
    "mobilenet_v2": ("features.1", "features.3", "features.6"),
    "squeezenet1_1": ("features.4", "features.7", "features.10"),
}
"""Where MixStyle may mix, by the beginning of the name; networks not listed need ``transform.mixstyle.layers``."""


def vision(
    shape: tuple[int, int, int], classes: int, *, arch: str, weights: str | None = None, inputs: str | None = None
) -> DGModel:
    """Build a torchvision classification network with a fresh classifier.

    Args:
        shape: (C, H, W) of the images; C must be 3.
        classes: number of classes.
        arch: torchvision's name, for example ``resnet18``.
        weights: torchvision's name of pre-trained weights, for example ``IMAGENET1K_V1``, a safetensors file with
            torchvision's key names, or None.
        inputs: normalisation the weights expect, ``imagenet``, ``tf`` or ``caffe``; None: ImageNet's where torchvision
            provides the weights, else the data set's.

    Raises:
        ConfigError: not three channels, no such architecture, weights that do not fit, no linear classifier.
    """
    if shape[0] != 3:
        raise ConfigError(f"torchvision networks need 3 channels, the data set has {shape[0]}; use model=convnet")
    if arch not in models.list_models(models):
        raise UnknownNameError("torchvision model", arch, models.list_models(models))
    from_file = is_file(weights)
    options: dict[str, Any] = {"weights": None if from_file else weights}
    if arch.startswith("vit") and options["weights"] is None:
        options["image_size"] = shape[1]
    featurizer, width = without_head(_without_auxiliary(_create(arch, options)), arch)
    if weights is not None and from_file:
        load_backbone(featurizer, weights)
    named = inputs if inputs or not options["weights"] else "imagenet"
    return DGModel(featurizer, width, classes, stages=stages(arch), inputs=normalisation(named))


class _MNASNet(models.MNASNet):  # type: ignore[misc]
    """MNASNet as torchvision builds it today, which loads plain state dicts, too."""

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, {"version": 2, **local_metadata}, *args, **kwargs)


def _without_auxiliary(network: nn.Module) -> nn.Module:
    """Take off what only training computes: GoogLeNet's and Inception's further classifiers, which make it a tuple."""
    if isinstance(network, models.GoogLeNet | models.Inception3):
        network.aux_logits = False
        for name in AUXILIARY:
            if hasattr(network, name):
                setattr(network, name, None)
    if isinstance(network, models.MNASNet):
        network.__class__ = _MNASNet
    return network


def _create(arch: str, options: dict[str, Any]) -> nn.Module:
    """Build a network of torchvision; where weights are not to be loaded, their name is checked all the same."""
    place = Path()
    try:
        if options["weights"] is not None:
            url = models.get_model_weights(arch)[options["weights"]].url
            place = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
            if loading():
                check_published(options["weights"], arch, place)
            else:
                options = {**options, "weights": None}
        network: nn.Module = models.get_model(arch, **options)
    except (ValueError, KeyError, AssertionError) as error:
        names = ", ".join(w.name for w in models.get_model_weights(arch))
        raise ConfigError(
            f"torchvision cannot build {arch} with {options} ({error}); its weights are {names}, or a file whose name ends in "
            f"{SUFFIX}, and image sides of a vision transformer are multiples of the patch"
        ) from error
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        if options["weights"] is None:
            raise
        raise not_at_hand(options["weights"], arch, str(place), error) from error
    return network


def stages(arch: str) -> tuple[str, ...]:
    """Return the modules after which features may be mixed; empty for an architecture that is not listed."""
    return next((names for prefix, names in STAGES.items() if arch.startswith(prefix)), ())


def without_head(network: nn.Module, arch: str) -> tuple[nn.Module, int]:
    """Return the network up to its pooled features and their width; ConfigError without a linear classifier."""
    if arch.startswith("squeezenet"):
        network.classifier = nn.AdaptiveAvgPool2d(1)
        return network, 512
    for name in HEADS:
        head = getattr(network, name, None)
        linear = head if isinstance(head, nn.Linear) else None
        if isinstance(head, nn.Sequential) and isinstance(head[-1], nn.Linear):
            linear, head[-1] = head[-1], nn.Identity()
        elif linear is not None:
            setattr(network, name, nn.Identity())
        if linear is not None:
            return network, linear.in_features  # pyright: ignore[reportReturnType]
    raise ConfigError(f"torchvision's {arch} has no linear classifier under {', '.join(HEADS)}; choose another model")
