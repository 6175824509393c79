"""What cannot be divided over processes, known by what it does and refused when it does so.

A part of a featurizer that treats each image by itself gives the same on a part of a batch. One that draws random numbers
(dropout), moves a buffer (an input's quantizer with a moving range), mixes images by hooks (MixStyle) or counts them in a gradient
does not. There is no list of names, so that parts of other packages are refused as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.errors import ConfigError, QuantizerError
from ...quantizers.base import Plan
from ...quantizers.fake_quant import frozen_ranges
from ...quantizers.insertion import sites_of
from .ranks import Ranks

Call = Callable[..., Any]


def check_sites(network: nn.Module, plan: Plan, ranks: Ranks) -> None:
    """Raise QuantizerError where weights are quantized in a way that `Sharded` does not know, by several processes."""
    own = dict(sites_of(network))
    unknown = [site.name for site in plan.sites if site.name not in own]
    if unknown and ranks.count > 1:
        raise QuantizerError(
            f"protocol.processes={ranks.count} needs weights quantized by fake quantizers of SiteQuantizer, but that of "
            f"{unknown[0]!r} is quantized in another way; write protocol.processes=1"
        )


@contextmanager
def each_by_itself(featurizer: nn.Module, parts: list[nn.Module], ranks: Ranks) -> Iterator[None]:
    """Raise ConfigError unless all that is called within treats each image by itself."""
    for name, module in featurizer.named_modules():
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
            raise _refusal(ranks, f"something watches or changes features in the middle of it, at {name!r}")
    draws, buffers = _draws(ranks.device), _versions(parts)
    yield
    if _draws(ranks.device) != draws:
        raise _refusal(ranks, "something in it draws random numbers, as dropout does")
    if _versions(parts) != buffers:
        raise _refusal(
            ranks, "something in it keeps statistics of features, as an input's quantizer with a moving range"
        )


def _refusal(ranks: Ranks, why: str) -> ConfigError:
    return ConfigError(
        f"protocol.processes={ranks.count} needs a featurizer that treats each image by itself, but {why}; write "
        "protocol.processes=1, or leave that part out"
    )


def _draws(device: str) -> tuple[Any, ...]:
    """The state of every global generator; that of a GPU is known to the processor."""
    gpu = b"" if device == "cpu" else torch.cuda.get_rng_state(device).numpy().tobytes()
    numpy: Any = np.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), gpu, random.getstate(), numpy[1].tobytes(), numpy[2]


def _versions(parts: list[nn.Module]) -> list[tuple[int, int]]:
    """Which tensors the buffers are, and how often each was written; reads no value."""
    return [(id(b), b._version) for part in parts for b in part._buffers.values() if b is not None]


def probing(quant: nn.Module, ranks: Ranks) -> Call:
    """Call the quantizer of an input or output, and refuse one that does not treat each row by itself."""
    call: Call = quant._call_impl

    def run(x: Tensor) -> Any:
        out = call(x)
        if len(x) > 1:
            with frozen_ranges(quant):
                same = _same_by_halves(call, list(quant.parameters()), x.detach())
            if not same:
                raise _refusal(ranks, "a quantizer of inputs computes or learns otherwise on a part of a batch")
        return out

    return run


@torch.enable_grad()
def _same_by_halves(call: Call, parameters: list[nn.Parameter], x: Tensor) -> bool:
    """Compare outputs, and gradients of the quantizer's parameters, of all rows with those of its halves."""
    weights = [p for p in parameters if p.requires_grad]
    upstream = torch.linspace(-1, 2, x.numel(), device=x.device, dtype=x.dtype).view(x.shape)
    found = []
    for split in ([len(x)], [len(x) // 2, len(x) - len(x) // 2]):
        out = torch.cat([call(part.requires_grad_()) for part in torch.split(x.clone(), split)])
        grads = torch.autograd.grad(out, weights, upstream, allow_unused=True) if weights else ()
        found.append([out.detach(), *(g for g in grads if g is not None)])
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in zip(*found, strict=True))
