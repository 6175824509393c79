"""Which BatchNorm follows which layer, and what it does to the layer's output.

The answer is read from a symbolic trace: a pair counts only if the BatchNorm is the one consumer of the layer's
output and both are called once, so folding cannot change another path. A network that cannot be traced has no pairs;
its BatchNorms stay float operators, which costs time and not accuracy.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from ...quantizers.tracing import Trace

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def following(network: nn.Module, layers: Collection[str]) -> dict[str, str]:
    """Map each layer's name to the BatchNorm that alone consumes its output.

    Args:
        network: in eval mode; not changed.
        layers: dotted names of convolutions and linear layers.
    """
    try:
        trace = Trace(network, layers)
    except Exception:  # noqa: BLE001 - data-dependent control flow fails in as many ways as there are networks
        return {}
    read = {str(n.target).rpartition(".")[0] for n in trace.graph.nodes if n.op == "get_attr"}
    pairs = {}
    for node in trace.graph.nodes:
        name = str(node.target)
        if node.op != "call_module" or name not in layers or name in read or len(node.users) != 1:
            continue
        user = next(iter(node.users))
        follower = str(user.target)
        folds = user.op == "call_module" and foldable(network, follower) and user.args == (node,)
        if folds and trace.calls[name] == trace.calls[follower] == 1:
            pairs[name] = follower
    return pairs


def foldable(network: nn.Module, name: str) -> bool:
    """Return whether the module is a plain BatchNorm with running statistics; subclasses may do more."""
    module: Any = network.get_submodule(name)
    return type(module) in BATCH_NORMS and module.running_mean is not None and not module.training


def affine(bn: nn.Module) -> tuple[Tensor, Tensor]:
    """Write a BatchNorm in eval mode as ``y * factor + shift``; float64, shape (channels,)."""
    assert isinstance(bn, BATCH_NORMS) and bn.running_mean is not None and bn.running_var is not None
    factor = (bn.running_var.double() + bn.eps).rsqrt()
    if bn.weight is not None:
        factor = factor * bn.weight.detach().double()
    shift = -bn.running_mean.double() * factor
    if bn.bias is not None:
        shift = shift + bn.bias.detach().double()
    return factor, shift
