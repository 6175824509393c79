"""What the nodes of a symbolic trace do to the values they read: join them, change them in place, count them."""

from __future__ import annotations

import operator
from typing import Any, Literal

import torch
from torch import fx, nn

Join = Literal["add", "cat", "largest", "mean"]
SUMS = (operator.add, torch.add)
JOINED = ("cat", "concat", "concatenate")
LARGEST = (
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
)
MEANS = ("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
LARGEST_POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
MEAN_POOLS = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
AUGMENTED = (operator.add, operator.sub, operator.mul, operator.truediv)
"""What ``x += y`` and the like look like in a trace: symbols have no operation in place."""


def join_of(node: fx.Node, network: nn.Module) -> Join | None:
    """Return what a node does to the values that it reads, where an integer runtime needs them on a grid for that."""
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        return "largest" if isinstance(module, LARGEST_POOLS) else "mean" if isinstance(module, MEAN_POOLS) else None
    if node.op not in ("call_function", "call_method"):
        return None
    name = _name_of(node)
    if node.target in SUMS or (node.op == "call_method" and name in ("add", "add_")):
        return "add" if len(node.all_input_nodes) > 1 else None
    kinds: tuple[tuple[Join, bool], ...] = (
        ("cat", name in JOINED),
        ("largest", name.lstrip("_") in LARGEST),
        ("mean", name in MEANS or (name == "mean" and _over_pixels(node))),
    )
    return next((kind for kind, is_it in kinds if is_it), None)


def _over_pixels(node: fx.Node) -> bool:
    dims: Any = node.kwargs.get("dim", node.args[1:])
    while isinstance(dims, (list, tuple)) and len(dims) == 1:
        (dims,) = dims
    return isinstance(dims, (list, tuple)) and len(dims) > 1


def is_number(node: fx.Node) -> bool:
    """Say whether a value is a size or computed from sizes alone."""
    if node.op == "call_method":
        return node.target in ("size", "dim", "numel")
    if node.op != "call_function":
        return False
    if node.target is getattr:
        return node.args[1] in ("shape", "ndim")
    return bool(node.all_input_nodes) and all(is_number(read) for read in node.all_input_nodes)


def changes(user: fx.Node, node: fx.Node, network: nn.Module) -> bool:
    """Say whether a reader changes the value for certain, by its name or settings."""
    if user.args[:1] != (node,):
        return False
    if user.op == "call_module":
        return bool(getattr(network.get_submodule(str(user.target)), "inplace", False))
    name = _name_of(user)
    return (name.endswith("_") and not name.endswith("__")) or bool(user.kwargs.get("inplace"))


def may_change(user: fx.Node, node: fx.Node, network: nn.Module) -> bool:
    """Say whether a reader may change the value: an augmented assignment looks like a sum in a trace."""
    return changes(user, node, network) or (user.target in AUGMENTED and user.args[:1] == (node,))


def _name_of(node: fx.Node) -> str:
    """The name of the function or method that a node calls."""
    target: Any = node.target
    return target if isinstance(target, str) else getattr(target, "__name__", "")
