"""Any image model of timm, an optional extra."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError, MissingPackageError, UnknownNameError, one_line
from .base import DGModel, Normalisation, normalisation
from .vision import stages
from .weights import is_file, load_backbone, loading, not_at_hand

PIP_LINE = "pip install 'quantdg[timm]'"


def import_timm(pip_line: str = PIP_LINE) -> Any:
    """Import timm; MissingPackageError with the line that installs it."""
    try:
        import timm  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingPackageError(f"timm is not installed ({error}); {pip_line}") from error
    return timm


def timm_model(
    shape: tuple[int, int, int], classes: int, *, arch: str, weights: str | None = None, inputs: str | None = None
) -> DGModel:
    """Build a timm network without its classifier, with a fresh one.

    Args:
        shape: (C, H, W) of the images; timm adapts the first layer to C.
        classes: number of classes.
        arch: timm's name, without the tag of its weights, for example ``resnet50``.
        weights: tag of timm's pre-trained weights, for example ``a1_in1k``, a safetensors file, or None. A file of a vision
            transformer may be of another image size, and one of CLIP may have OpenAI's and OpenCLIP's names.
        inputs: normalisation by name; None: what timm's weights expect, else the data set's.

    Raises:
        MissingPackageError: timm is not installed.
        ConfigError: no such model or tag, weights that do not fit, features that are not vectors.
    """
    timm = import_timm()
    if not timm.is_model(arch):
        raise UnknownNameError("timm model", arch, timm.list_models())
    tag = None if weights is None or is_file(weights) else weights
    name = arch if tag is None else f"{arch}.{tag}"
    if tag is not None and name not in timm.list_pretrained(arch):
        raise UnknownNameError("timm weights", name, timm.list_pretrained(arch))
    network = _create(timm, name, tag, shape)
    width = getattr(network, "head_hidden_size", getattr(network, "num_features", None))
    if not isinstance(width, int):
        raise ConfigError(
            f"timm's {arch} says no num_features, so no classifier can be put on it; choose another model"
        )
    if weights is not None and tag is None:
        load_backbone(network, weights, partial(_as_timms, network), _heads(network))
    expected = normalisation(inputs) if inputs or tag is None else _expected(network)
    return DGModel(network, width, classes, stages=stages(arch), inputs=expected)


def _heads(network: Any) -> list[str]:
    """What timm calls the classifiers of this architecture; there may be several, and a teacher's beside them."""
    named = network.pretrained_cfg.get("classifier") or ()
    return [name.partition(".")[0] for name in ([named] if isinstance(named, str) else named)]


def _as_timms(network: nn.Module, found: dict[str, Tensor]) -> Mapping[str, Tensor]:
    """A vision transformer's tensors under timm's names and for the size of the data.

    timm converts what OpenAI's and OpenCLIP's CLIP call ``visual.*``, without the text tower, and interpolates position
    embeddings (bicubic) as it does for weights of its own.
    """
    from timm.models import vision_transformer  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    if not isinstance(network, vision_transformer.VisionTransformer):
        return found
    converted: Mapping[str, Tensor] = vision_transformer.checkpoint_filter_fn(found, network)
    return converted


def _create(timm: Any, name: str, tag: str | None, shape: tuple[int, int, int]) -> Any:
    """Build the network, for the data's image size where the architecture is of one size."""
    card = timm.get_pretrained_cfg(name)
    sized = card is not None and card.fixed_input_size and tuple(card.input_size[1:]) != shape[1:]
    options = {"img_size": shape[1:]} if sized else {}
    pretrained = tag is not None and loading()
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, in_chans=shape[0], **options)
    except Exception as error:
        if pretrained and not isinstance(error, TypeError | AssertionError):
            raise not_at_hand(str(tag), name, _places(card), error) from error
        if sized and card is not None:
            raise ConfigError(
                f"timm's {name} is made for images of {card.input_size[1]} x {card.input_size[2]} and cannot be built for "
                f"{shape[1]} x {shape[2]} ({one_line(error)}); choose another size or model"
            ) from error
        raise


def _places(card: Any) -> str:
    """Where timm looks: the folder of the hub, or the file of an address."""
    if card.hf_hub_id:
        from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

        return f"{card.hf_hub_id} below {HF_HUB_CACHE}"
    return str(Path(torch.hub.get_dir()) / "checkpoints" / Path(card.url).name)


def _expected(network: Any) -> Normalisation:
    return Normalisation(tuple(network.pretrained_cfg["mean"]), tuple(network.pretrained_cfg["std"]))
