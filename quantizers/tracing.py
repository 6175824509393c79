"""The symbolic trace of a network: which module computes which value, and who reads it.

torch.fx runs the forward once on symbols. Its own tracer knows the leaves; added here are the values that modules with a
forward of their own return, and modules made inside a forward, as a slice of an ``nn.Sequential``, which are traced through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from torch import fx, nn

from .fake_quant import evaluating


class Trace(fx.Tracer):
    """A trace of a network.

    Attributes:
        network: what was traced.
        graph: the calls of leaf modules and functions in the order of the forward.
        calls: how often each module is called, by dotted name; of several names of one module the first.
        returned: the value that each module returned last, and how deep the call was nested, by the same names.

    Args:
        network: a forward of one tensor; it is traced in evaluation mode and not changed.
        leaves: dotted names of layers to keep whole, whatever package their class is from.

    Raises:
        Exception: of any kind, where the forward cannot be run on symbols, as with control flow that reads values.
    """

    def __init__(self, network: nn.Module, leaves: Collection[str] = ()) -> None:
        super().__init__()
        self.network, self.leaves = network, leaves
        self.calls: Counter[str] = Counter()
        self.returned: dict[str, tuple[fx.Node, int]] = {}
        self._names = {id(module): name for name, module in network.named_modules()}
        self._within: list[str] = []
        with evaluating(network):
            self.trace(network)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Keep the layers asked for, and what torch keeps."""
        return module_qualified_name in self.leaves or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Note what a module of the network returns; trace through any other."""
        name = self._names.get(id(m))
        if name is None:
            return forward(*args, **kwargs)
        self._within.append(name)
        try:
            out = super().call_module(m, forward, args, kwargs)
        finally:
            self._within.pop()
        self.calls[name] += 1
        if isinstance(out, fx.Proxy):
            self.returned[name] = out.node, len(self._within)
        return out

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Note within which modules a value is computed."""
        node = super().create_node(*args, **kwargs)
        node.meta["within"] = tuple(self._within)
        return node
