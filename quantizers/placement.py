r"""Where ``spec.placement=full`` quantizes outputs, beside the inputs of quantized layers.

An integer runtime adds, joins and pools integers, and fuses a layer into an integer one, only where the values are on a
grid. A value is quantized where it is computed if it is read

* by an addition of two tensors, a concatenation, or a pool or mean over pixels, or
* by two or more quantized layers: each of them would round it to a grid of its own, which no runtime can fuse.

What only one quantized layer reads keeps the quantizer of that layer's input. A layer that reads a quantized output has no
quantizer of its own. The quantizer sits on the innermost module that returns the value, after its BatchNorm and ReLU, and
each is one that the method makes for inputs, trained as those. The largest of values on a grid is on that grid, and so are
joined values: a maximum pool has the quantizer of what it reads, and so have all branches of a concatenation and the
concatenation itself, one object that is in the optimizer once. A mean is a new value.

The network is read by a symbolic trace, and one that has none is refused. A value that no module returns, as a sum in the
middle of a forward, stays float, and the plan says why. Images and parameters are nobody's output.

Reference: the operators that ONNX Runtime and OpenVINO compute in integers between QuantizeLinear and DequantizeLinear;
Jacob et al., CVPR 2018, appendix A.2 and A.3 (additions are rescaled, concatenations need one scale). Which values, and
the shared quantizer of the layers that read one, are our reading.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field

from torch import fx, nn

from ..core.errors import QuantizerError, one_line
from .base import PlacedOutput, Skipped
from .insertion import CONTAINERS
from .joins import changes, is_number, join_of, may_change
from .layers import LAYERS
from .names import WEIGHT
from .spec import QuantSpec, SiteSpec
from .tracing import Trace

NO_MODULE = (
    "no module of the network returns this value, so there is none to quantize it; give it a module, as an nn.Identity"
)
CHANGED = "a later operation changes it in place while others read it; write that operation out of place"


@dataclass
class Placed:
    """The outputs of a network to quantize, in the order of its forward.

    Attributes:
        outputs: one for each value.
        floats: the values that stay float though they are to be quantized, by their name in the trace, with the reason.
        copied: modules whose output a reader may change in place, so that it must be a copy.
    """

    outputs: list[PlacedOutput] = field(default_factory=list)
    floats: list[Skipped] = field(default_factory=list)
    _: KW_ONLY
    copied: set[str] = field(default_factory=set)

    @property
    def readers(self) -> set[str]:
        """The quantized layers that read one of the outputs."""
        return {name for output in self.outputs for name in output.readers}


def place(network: nn.Module, spec: QuantSpec, sites: Iterable[SiteSpec]) -> Placed:
    """Find the outputs to quantize; there are none with ``placement=inputs``.

    Args:
        network: float; it is not changed.
        spec: whose ``act_bits`` the outputs get; layers whose inputs have other bits keep quantizers of their own.
        sites: the weights that are going to be quantized.

    Raises:
        QuantizerError: the network cannot be traced.
    """
    bits = spec.act_bits
    if spec.placement == "inputs" or bits is None:
        return Placed()
    layers = [name for name, module in network.named_modules() if isinstance(module, LAYERS)]
    try:
        trace = Trace(network, layers)
    except Exception as error:
        raise QuantizerError(
            "placement=full must know who reads which value, but torch.fx cannot trace this network "
            f"({one_line(error)}); write placement=inputs"
        ) from error
    asked = {site.module for site in sites if site.parameter == WEIGHT and site.act_bits == bits}
    return _Placing(trace, {name for name in asked if trace.calls[name] == 1}, bits).run()


def place_reason(network: nn.Module, spec: QuantSpec, sites: Iterable[SiteSpec]) -> str:
    """Say why the outputs that a spec asks for cannot be found, or return an empty string."""
    try:
        place(network, spec, sites)
    except QuantizerError as error:
        return str(error)
    return ""


class _Placing:
    """One pass over the values of a trace."""

    def __init__(self, trace: Trace, sites: Collection[str], bits: int) -> None:
        self.trace, self.sites, self.bits = trace, sites, bits
        self.modules = _returning(trace)
        self.grids: dict[fx.Node, str] = {}
        self.same: dict[str, str] = {}
        self.found: dict[fx.Node, tuple[str, bool]] = {}
        self.placed = Placed()

    def run(self) -> Placed:
        """Decide value by value, then give the outputs of one grid one name."""
        for node in self.trace.graph.nodes:
            self._decide(node)
        for node, (module, carried) in self.found.items():
            readers = tuple(str(user.target) for user in node.users if self._is_site(user, node))
            grid = self._grid(self.grids[node])
            self.placed.outputs.append(PlacedOutput(module, grid, self.bits, readers, carried=carried))
        return self.placed

    def _decide(self, node: fx.Node) -> None:
        if self._carry(node):
            if node in self.modules and not self._changed(node):
                self._put(node, carried=True)
            return
        joined = any(join_of(user, self.trace.network) is not None for user in node.users)
        shared = sum(self._is_site(user, node) for user in node.users) > 1
        if not (joined or shared) or node.op in ("placeholder", "get_attr") or is_number(node):
            return
        reason = CHANGED if self._changed(node) else "" if node in self.modules else NO_MODULE
        if not reason:
            self.grids[node] = self.modules[node]
            self._put(node, carried=False)
        elif joined:
            self.placed.floats.append(Skipped(_where(node), reason))

    def _put(self, node: fx.Node, *, carried: bool) -> None:
        module = self.modules[node]
        self.found[node] = module, carried
        self.same.setdefault(module, module)
        if any(may_change(user, node, self.trace.network) for user in node.users):
            self.placed.copied.add(module)

    def _changed(self, node: fx.Node) -> bool:
        return len(node.users) > 1 and any(changes(user, node, self.trace.network) for user in node.users)

    def _carry(self, node: fx.Node) -> bool:
        """Say whether a value is on the grid of what it is made of; branches of a concatenation get one grid here."""
        kind = join_of(node, self.trace.network)
        read = node.all_input_nodes
        if kind not in ("cat", "largest") or not read or any(branch not in self.grids for branch in read):
            return False
        first = self._grid(self.grids[read[0]])
        for branch in read[1:]:
            self.same[self._grid(self.grids[branch])] = first
        self.grids[node] = first
        return True

    def _grid(self, module: str) -> str:
        while self.same[module] != module:
            module = self.same[module]
        return module

    def _is_site(self, user: fx.Node, node: fx.Node) -> bool:
        return user.op == "call_module" and user.target in self.sites and user.args[:1] == (node,)


def _returning(trace: Trace) -> Mapping[fx.Node, str]:
    """The innermost module that computes a value, returns it to readers outside alone and is called once, by the value."""
    found: dict[fx.Node, tuple[int, str]] = {}
    for name, (node, depth) in trace.returned.items():
        module = trace.network.get_submodule(name)
        within = name in node.meta["within"] and all(name not in user.meta["within"] for user in node.users)
        if trace.calls[name] == 1 and name and within and not isinstance(module, CONTAINERS):
            found[node] = max(found.get(node, (-1, "")), (depth, name))
    return {node: name for node, (_, name) in found.items()}


def _where(node: fx.Node) -> str:
    """A value's name in the trace, after the module that computes it."""
    within = [name for name in node.meta["within"] if name]
    return f"{within[-1]}: {node.name}" if within else node.name
