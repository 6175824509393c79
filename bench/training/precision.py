"""The numbers that a training step computes with: float32, TF32 or bfloat16.

Only training steps are lowered, and of them only the calls of the network's featurizer and classifier, forward and backward.
What comes out of either is float32 again, so that losses, an algorithm's own networks and penalties, quantizers' penalties,
gradients, the optimizer and weight averages are float32 under every precision. Calibration, BatchNorm re-estimation,
evaluation, selection, flatness, packing and deployment are outside a step and compute in float32 without TF32: what is scored
is the very function that is stored, whatever trained it.

``tf32``: matrix products and convolutions round their operands to 10 bits of mantissa; everything stays a float32 tensor.
``bf16``: torch's autocast. BatchNorm gets bf16 inputs and keeps its statistics and affine part in float32. A fake quantizer is
taken out of autocast (`quantdg.quantizers.insertion`): in bf16, 8 significant bits, v = w / s could not tell neighbouring codes
of 8 bits from their midpoint, and the gradient of a scale is a sum of small differences round(v) - v, which would vanish.
Its float32 output is rounded to bf16 by the convolution that reads it: a relative error of at most 2^-9, which is half the
distance of two codes at code 255 and 0.03 of it at code 15.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from ...core.errors import ConfigError
from ..experiment.protocol import Precision, Protocol
from ..models.base import DGModel
from .ranks import Ranks
from .sharded import Sharded

Call = Callable[..., Any]
AMPERE = (8, 0)
"""Compute capability of the first GPUs with TF32 and bf16."""
_PRODUCTS: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
"""Whose ``allow_tf32`` is set: torch refuses to read it, and so to export a network, once a part of cuDNN is set alone."""


def forbid_tf32() -> None:
    """Let float32 mean float32 in this process; torch's default lets convolutions of a GPU round to TF32."""
    for products in _PRODUCTS:
        products.allow_tf32 = False


def check_precision(precision: Precision, device: str) -> None:
    """Raise ConfigError where ``device``, ``cpu``, ``cuda`` or ``cuda:1``, cannot train in this precision."""
    if precision == "fp32" or (precision == "bf16" and device == "cpu"):
        return
    if device == "cpu":
        raise ConfigError(
            f"protocol.precision={precision} needs a GPU, got launcher.device=cpu; write protocol.precision=fp32 or "
            "launcher.device=cuda"
        )
    if (found := torch.cuda.get_device_capability(device)) < AMPERE:
        raise ConfigError(
            f"protocol.precision={precision} needs a GPU of compute capability 8.0 or above, {device} has "
            f"{found[0]}.{found[1]}; write protocol.precision=fp32"
        )


def check_computing(protocol: Protocol, device: str) -> None:
    """Raise ConfigError where ``device`` cannot train in the protocol's precision, or compiled where it asks for that."""
    check_precision(protocol.precision, device)
    if protocol.compile:
        check_compiler(device)


def check_compiler(device: str) -> None:
    """Raise ConfigError where torch.compile cannot make code for ``device``."""
    if device == "cpu":
        found = shutil.which(os.environ.get("CXX", "g++")) is not None
    else:
        found = find_spec("triton") is not None
    what = "a C++ compiler, g++ or what CXX names" if device == "cpu" else "the package triton"
    if not found:
        raise ConfigError(f"protocol.compile=true needs {what}, which is not there; install it or write compile=false")


class Computing:
    """What a network computes with in training steps: ``with computing():`` around a step, after which all is as before.

    Only calls of the featurizer and the classifier within the context are lowered or compiled; evaluation is outside, in
    float32 and by torch's own kernels. A copy made of the network meanwhile computes as if there were no context.

    Args:
        network: the model to train.
        precision: as in the protocol.
        compiled: whether torch.compile makes code of the featurizer's forward and backward, fake quantizers included; the
            classifier is a single product.
        ranks: the processes that share the featurizer's images; None: this one has all.
    """

    def __init__(
        self, network: DGModel, precision: Precision, compiled: bool = False, ranks: Ranks | None = None
    ) -> None:
        self.network, self.precision, self.compiled = network, precision, compiled
        self.ranks = ranks or Ranks()
        self._calls: list[tuple[nn.Module, Call]] = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Compute so within."""
        if not self._calls:
            self._calls = self._changed()
        for part, call in self._calls:
            part._compiled_call_impl = call  # what torch calls instead of the module, as after nn.Module.compile
        try:
            with _tf32() if self.precision == "tf32" else nullcontext():
                yield
        finally:
            for part, _ in self._calls:
                part._compiled_call_impl = None

    def _changed(self) -> list[tuple[nn.Module, Call]]:
        """The parts that are called in another way, with that way."""
        parts = self.network.featurizer, self.network.classifier
        calls: dict[nn.Module, Call] = {part: part._call_impl for part in parts}
        if self.precision == "bf16":
            device = next(self.network.parameters()).device.type
            calls = {part: _lowered(call, device) for part, call in calls.items()}
        if self.compiled:
            calls[parts[0]] = torch.compile(calls[parts[0]])
        if self.ranks.count > 1:
            calls[parts[0]] = Sharded(parts[0], self.ranks, calls[parts[0]])
        return [(part, call) for part, call in calls.items() if call != part._call_impl]


def _lowered(call: Call, device: str) -> Call:
    """Autocast a call; what comes out of it is float32."""

    def run(*args: Any) -> Any:
        with torch.autocast(device, torch.bfloat16):
            out = call(*args)
        return out.float()

    return run


@contextmanager
def _tf32() -> Iterator[None]:
    before = [products.allow_tf32 for products in _PRODUCTS]
    try:
        for products in _PRODUCTS:
            products.allow_tf32 = True
        yield
    finally:
        for products, setting in zip(_PRODUCTS, before, strict=True):
            products.allow_tf32 = setting
