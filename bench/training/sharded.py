r"""One featurizer over several processes: each runs it on its own images, and all have all features.

    features = gather(featurizer(own images));   everything behind them is computed by each process, on the whole batch

The losses of most algorithms are no means over images (CORAL, IRM, V-REx, Fish), so an average of gradients over parts of a
batch, as torch's DistributedDataParallel makes it, would be another algorithm. Here every loss sees the whole batch, and
the division is exact by the chain rule; four linear maps are all that processes exchange, each the derivative of its partner:

    scatter: all rows -> own rows            gather: own rows of each -> all rows
    share: a value -> the same value         total: one value of each -> their sum

A parameter enters the featurizer through ``share``, so its gradient is the sum over processes; the weight of a site enters
behind its fake quantizer, whose backward need not be linear (EWGS) and so must see the whole gradient. What is outside
the featurizer, penalties on weights included, is computed alike by all and not summed. Since every derivative is one of the
four maps again, gradients of gradients are exact as well.

A live BatchNorm gets all rows, computes what one process would and hands on its own rows; this sends activations to and
fro. Whatever else looks at more than one image, or draws random numbers, is refused (`by_image`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...quantizers.insertion import NORMS, act_quants, sites_of
from .by_image import Call, each_by_itself, probing
from .ranks import Ranks

Map = Callable[[Tensor], Tensor]


class _Linear(torch.autograd.Function):
    """A linear map; its derivative is the partner, whose derivative is the map again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: Map, partner: Map) -> Tensor:
        ctx.turned = partner, linear
        return linear(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return _Linear.apply(grads[0], *ctx.turned), None, None


def _scatter(rows: Tensor, sizes: list[int], ranks: Ranks) -> Any:
    return _Linear.apply(rows, *_row_maps(sizes, ranks))


def _gather(own: Tensor, sizes: list[int], ranks: Ranks) -> Any:
    return _Linear.apply(own, *reversed(_row_maps(sizes, ranks)))


def _row_maps(sizes: list[int], ranks: Ranks) -> tuple[Map, Map]:
    return lambda rows: ranks.own(rows, sizes).clone(), lambda own: ranks.all_rows(own, sizes)


def _share(value: Tensor, ranks: Ranks) -> Any:
    return _Linear.apply(value, lambda x: x.view_as(x), ranks.total)


class Sharded:
    """A call of a featurizer, divided over processes: images (N, C, H, W) to features (N, n), the same on each.

    A batch of fewer images than processes, or one outside of `Ranks.joined`, is not divided.

    Args:
        featurizer: whose call it is.
        ranks: the processes.
        call: what is called on this process's images; the featurizer's own call, or that in another precision.
    """

    def __init__(self, featurizer: nn.Module, ranks: Ranks, call: Call) -> None:
        self.featurizer, self.ranks, self.call = featurizer, ranks, call
        self._probed: set[nn.Module] = set()

    def __call__(self, x: Tensor) -> Tensor:
        """Return all features."""
        if not self.ranks.together or len(x) < self.ranks.count:
            out: Tensor = self.call(x)
            return out
        sizes = self.ranks.sizes(len(x))
        with self._divided(sizes):
            features = self.call(_scatter(x, sizes, self.ranks))
        gathered: Tensor = _gather(features, sizes, self.ranks)
        return gathered

    @contextmanager
    def _divided(self, sizes: list[int]) -> Iterator[None]:
        norms = [m for m in self.featurizer.modules() if isinstance(m, NORMS) and _is_live(m)]
        quants = list(dict.fromkeys(site.weight_quant for _, site in sites_of(self.featurizer)))
        alike = {part for module in (*norms, *quants) for part in module.modules()}
        parts = [module for module in self.featurizer.modules() if module not in alike]
        calls: dict[nn.Module, Call] = {norm: _on_all(norm._call_impl, sizes, self.ranks) for norm in norms}
        parameters: list[tuple[nn.Module, str, nn.Parameter]] = []
        if torch.is_grad_enabled():
            calls |= {quant: _shared(quant._call_impl, self.ranks) for quant in quants}
            calls |= {q: probing(q, self.ranks) for q in act_quants(self.featurizer) if q not in self._probed}
            self._probed |= calls.keys()
            parameters = [(m, name, p) for m in parts for name, p in _trained(m)]
        with _called(calls), _entering(parameters, self.ranks), each_by_itself(self.featurizer, parts, self.ranks):
            yield


def _is_live(norm: nn.Module) -> bool:
    return norm.training or not getattr(norm, "track_running_stats", True)


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """A module's own parameters but those behind a fake quantizer, which is shared instead."""
    behind = getattr(module, "quantized", ())
    for name, parameter in module._parameters.items():
        if parameter is not None and parameter.requires_grad and name not in behind:
            yield name, parameter


def _shared(call: Call, ranks: Ranks) -> Call:
    return lambda *args: _share(call(*args), ranks)


def _on_all(call: Call, sizes: list[int], ranks: Ranks) -> Call:
    """Call a module on the rows of all processes, and return this one's."""

    def run(own: Tensor) -> Any:
        times = len(own) // sizes[ranks.rank]
        rows = [times * size for size in sizes]
        return _scatter(call(_gather(own, rows, ranks)), rows, ranks)

    return run


@contextmanager
def _called(calls: dict[nn.Module, Call]) -> Iterator[None]:
    """Let torch call something else than these modules."""
    for module, call in calls.items():
        module._compiled_call_impl = call
    try:
        yield
    finally:
        for module in calls:
            module._compiled_call_impl = None


@contextmanager
def _entering(parameters: list[tuple[nn.Module, str, nn.Parameter]], ranks: Ranks) -> Iterator[None]:
    """Let forwards read parameters through ``share``."""
    for module, name, parameter in parameters:
        module._parameters[name] = _share(parameter, ranks)
    try:
        yield
    finally:
        for module, name, parameter in parameters:
            module._parameters[name] = parameter


@contextmanager
def divided(featurizer: nn.Module, ranks: Ranks) -> Iterator[None]:
    """Divide the featurizer's calls within, in its own precision, where the processes are together; for evaluation."""
    with _called({featurizer: Sharded(featurizer, ranks, featurizer._call_impl)} if ranks.together else {}):
        yield
