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

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ..experiment.protocol import Precision
from ..models.base import DGModel

AMPERE = (8, 0)
"""Compute capability of the first GPUs with TF32 and bf16."""
_PRODUCTS: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]


def forbid_tf32() -> None:
    """Let float32 mean float32 in this process; torch's default lets convolutions of a GPU round to TF32."""
    for products in _PRODUCTS:
        products.fp32_precision = "ieee"


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


@contextmanager
def computing(network: DGModel, precision: Precision) -> Iterator[None]:
    """Let the network compute in this precision within; afterwards flags and network are as before."""
    if precision == "tf32":
        with _tf32():
            yield
    elif precision == "bf16":
        with ExitStack() as stack:
            for part in (network.featurizer, network.classifier):
                _lower(part, next(network.parameters()).device.type, stack)
            yield
    else:
        yield


@contextmanager
def _tf32() -> Iterator[None]:
    before = [products.fp32_precision for products in _PRODUCTS]
    try:
        for products in _PRODUCTS:
            products.fp32_precision = "tf32"
        yield
    finally:
        for products, setting in zip(_PRODUCTS, before, strict=True):
            products.fp32_precision = setting


def _lower(module: nn.Module, device: str, stack: ExitStack) -> None:
    """Autocast each call of the module until the stack closes; what comes out is float32."""
    calls: list[ExitStack] = []

    def enter(_module: nn.Module, _args: Any) -> None:
        calls.append(ExitStack())
        calls[-1].enter_context(torch.autocast(device, torch.bfloat16))

    def leave(_module: nn.Module, _args: Any, out: Any) -> Any:
        calls.pop().close()
        return out.float() if isinstance(out, Tensor) else out

    stack.callback(module.register_forward_pre_hook(enter).remove)
    stack.callback(module.register_forward_hook(leave, always_call=True).remove)
