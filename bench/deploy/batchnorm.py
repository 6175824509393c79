"""Which BatchNorm follows which layer, and what it does to the layer's output.

The answer is read from a symbolic trace: a pair counts only if the BatchNorm is the one consumer of the layer's
output and both are called once, so folding cannot change another path. A network that cannot be traced has no pairs;
its BatchNorms stay float operators, which costs time and not accuracy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from torch import Tensor, fx, nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Tracer(fx.Tracer):
    """Keeps the layers asked for whole, whatever package their class is from."""

    def __init__(self, leaves: Collection[str]) -> None:
        super().__init__()
        self.leaves = leaves

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Keep the layers asked for, and what torch keeps."""
        return module_qualified_name in self.leaves or super().is_leaf_module(m, module_qualified_name)


def following(network: nn.Module, layers: Collection[str]) -> dict[str, str]:
    """Map each layer's name to the BatchNorm that alone consumes its output.

    Args:
        network: in eval mode; not changed.
        layers: dotted names of convolutions and linear layers.
    """
    try:
        graph = _Tracer(layers).trace(network)
    except Exception:  # noqa: BLE001 - data-dependent control flow fails in as many ways as there are networks
        return {}
    calls = Counter(id(network.get_submodule(str(n.target))) for n in graph.nodes if n.op == "call_module")
    read = {str(n.target).rpartition(".")[0] for n in graph.nodes if n.op == "get_attr"}
    pairs = {}
    for node in graph.nodes:
        name = str(node.target)
        if node.op != "call_module" or name not in layers or name in read or len(node.users) != 1:
            continue
        user = next(iter(node.users))
        if user.op == "call_module" and foldable(network, str(user.target)) and user.args == (node,):
            ids = (id(network.get_submodule(name)), id(network.get_submodule(str(user.target))))
            if all(calls[i] == 1 for i in ids):
                pairs[name] = str(user.target)
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
