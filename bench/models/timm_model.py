"""Any image model of timm, an optional extra."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...core.errors import ConfigError, MissingPackageError, UnknownNameError
from .base import DGModel, Normalisation, normalisation
from .vision import stages
from .weights import is_file, load_backbone

PIP_LINE = "pip install 'quantdg[timm]'"


def _timm() -> Any:
    try:
        import timm  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingPackageError(f"timm is not installed ({error}); {PIP_LINE}") from error
    return timm


def timm_model(
    shape: tuple[int, int, int], classes: int, *, arch: str, weights: str | None = None, inputs: str | None = None
) -> DGModel:
    """Build a timm network without its classifier, with a fresh one.

    Args:
        shape: (C, H, W) of the images; timm adapts the first layer to C.
        classes: number of classes.
        arch: timm's name, without the tag of its weights, for example ``resnet50``.
        weights: tag of timm's pre-trained weights, for example ``a1_in1k``, a safetensors file, or None.
        inputs: normalisation by name; None: what timm's weights expect, else the data set's.

    Raises:
        MissingPackageError: timm is not installed.
        ConfigError: no such model or tag, weights that do not fit, features that are not vectors.
    """
    timm = _timm()
    if not timm.is_model(arch):
        raise UnknownNameError("timm model", arch, timm.list_models())
    tag = None if weights is None or is_file(weights) else weights
    name = arch if tag is None else f"{arch}.{tag}"
    if tag is not None and name not in timm.list_pretrained(arch):
        raise UnknownNameError("timm weights", name, timm.list_pretrained(arch))
    network: nn.Module = timm.create_model(name, pretrained=tag is not None, num_classes=0, in_chans=shape[0])
    width = getattr(network, "head_hidden_size", getattr(network, "num_features", None))
    if not isinstance(width, int):
        raise ConfigError(
            f"timm's {arch} says no num_features, so no classifier can be put on it; choose another model"
        )
    if weights is not None and tag is None:
        load_backbone(network, weights)
    expected = normalisation(inputs) if inputs or tag is None else _expected(network)
    return DGModel(network, width, classes, stages=stages(arch), inputs=expected)


def _expected(network: Any) -> Normalisation:
    return Normalisation(tuple(network.pretrained_cfg["mean"]), tuple(network.pretrained_cfg["std"]))
