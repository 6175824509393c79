r"""EWGS: a weight's gradient grows or shrinks by its rounding error, as far as the loss is curved.

    g' = g (1 + delta sign(g) (x_n - x_q)),   x_n, x_q: the weight and its value, the grid's ends at 0 and 1
    delta = max(0, mean over ``batches`` steps of (tr H / N) / (3 std g)),   anew each ``every`` steps, for each layer

H and g are the second and first derivative of the training loss by x_q, of the N weights of a layer; tr H is Hutchinson's
estimate, mean of v'Hv over ``probes`` random signs. The rounding error is at most .5 / (2^b - 1): with a small constant
delta, such as the 1e-3 of the release's scripts, nothing changes, and without the curvature EWGS is the plain
straight-through estimator. ``delta=0.2`` sets a constant; 0 is the base itself, bit for bit.

Ours: any grid of this package is the base (the paper's has learned ends and an output scale), whose own gradient follows,
and whose scale learns as it does there; tr H comes from the training batches, source labels included, by the hook
``on_loss``; a fixed number of probes, where the release stops by a running mean. Costs a pass over the network for each
probe, beside the memory of a graph: more than the rest of the method. Meant for 3 bits and less: on
the toy net of the contract delta is .1 to .3 at 2 bits after 60 steps, so that no gradient changes by more than 5 %.

Reference: Lee, Kim and Ham, "Network Quantization with Element-wise Gradient Scaling", CVPR 2021; the release (GPL-3.0)
was used for its equations alone, as a reader wrote them down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.counted import Counted
from ..core.errors import ConfigError, QuantizerError
from .base import LEARNING_RATE
from .draws import stream
from .fake_quant import FakeQuant
from .grid_pull import ends_of
from .layers import sites_of
from .over import OverQuant, OverQuantizer
from .spec import QuantSpec, SiteSpec


class _Scaled(torch.autograd.Function):
    """Identity; the gradient g becomes g (1 + delta sign(g) error). ``error`` is filled in after the forward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, error: list[Tensor], delta: Tensor) -> Tensor:
        ctx.error, ctx.delta = error, delta
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        return grad * (1 + ctx.delta * grad.sign() * ctx.error[0]), None, None


class Seen(NamedTuple):
    """A quantized weight of a forward, the fake quantizer it is of, and the width of the grid."""

    owner: EWGSQuant
    value: Tensor
    width: Tensor


class EWGSQuant(Counted, OverQuant):
    """This fake quantizer scales the gradient of its weight.

    Args:
        inner: the base's fake quantizer.
        delta: to begin with.
        fixed: whether it stays.
        every: steps between two estimates.
        batches: steps that one estimate is the mean of.

    Attributes:
        seen: quantized weights of this step's forwards, where an estimate is due.
    """

    delta: Tensor
    total: Tensor

    def __init__(self, inner: FakeQuant, delta: float | None, *, every: int, batches: int) -> None:
        super().__init__(inner)
        self.estimates, self.every, self.batches = delta is None, every, batches
        self.seen: list[Seen] = []
        self._taken = False
        self.register_buffer("delta", torch.tensor(delta or 0.0))
        self.register_buffer("total", torch.tensor(0.0))
        self.start_counting()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the tensors of a forward out of copies."""
        return {**self.__dict__, "seen": []}

    @property
    def due(self) -> bool:
        """Say whether the present step belongs to an estimate and has not been taken into it."""
        return self.estimates and not self._taken and self.now % self.every < self.batches

    def forward(self, x: Tensor) -> Tensor:
        """Return the base's output; in training the gradient is scaled on its way to ``x``."""
        if not self.training or self.calibrating:
            out: Tensor = self.inner(x)
            return out
        error: list[Tensor] = []
        out = self.inner(_Scaled.apply(x, error, self.delta))
        low, high = ends_of(self.inner.qparams(x.detach()), x)
        error.append(((x - out) / (high - low)).detach())
        if self.due and not self.held and out.requires_grad:
            self.seen.append(Seen(self, out, (high - low).detach()))
        return out

    def own(self, x: Tensor) -> dict[str, float]:
        """Add ``delta``, >= 0; at 0 the layer is trained by the base's gradient."""
        return {**super().own(x), "delta": float(self.delta)}

    @torch.no_grad()
    def take(self, trace: Tensor, deviation: Tensor, count: int) -> None:
        """Take one batch's trace and deviation of gradients into the estimate; after the last batch, set delta."""
        part = self.now % self.every
        value = trace / count / (3 * deviation).clamp_min(1e-12)
        self.total.copy_(value if part == 0 else self.total + value)
        if part == self.batches - 1:
            self.delta.copy_((self.total / self.batches).clamp_min(0))
        self.seen, self._taken = [], True

    def advance(self, weight: Tensor, step: int) -> None:
        """Count the step; QuantizerError where an estimate was due and nobody showed the loss."""
        super().advance(weight, step)
        if self.seen:
            raise QuantizerError(
                "EWGS must see the loss before its backward, but on_loss was not called; call it, or write delta=0.2 for "
                "a constant"
            )
        self.count(step)
        self._taken = False


class EWGS(OverQuantizer):
    """EWGS scales gradients by the rounding error, over the grid of another quantizer.

    Args:
        spec: what to quantize; widths of at most 3 bits show a difference.
        delta: a constant, at least 0, for weights between 0 and 1; None: estimated from the curvature.
        every: steps between two estimates, at least ``batches``.
        batches: steps that an estimate is the mean of, at least 1.
        probes: random sign vectors for a batch, at least 1.
        options: the settings of `OverQuantizer`.
    """

    name = "ewgs"
    reference = "Lee et al., Element-wise Gradient Scaling, CVPR 2021"
    meaning = "rounding, with gradients scaled by the rounding error"
    family = "estimator"
    ranges = LEARNING_RATE

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        delta: float | None = None,
        every: int = 300,
        batches: int = 3,
        probes: int = 8,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        if delta is not None and not delta >= 0:
            raise ConfigError(f"delta must be at least 0, got {delta}; write delta=null for the curvature's")
        if not 1 <= batches <= every or probes < 1:
            raise ConfigError(
                f"batches must be from 1 to every and probes at least 1, got batches={batches}, every={every} and "
                f"probes={probes}; write batches=3 every=300 probes=8"
            )
        self.delta, self.every, self.batches, self.probes = delta, every, batches, probes

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make an `EWGSQuant`."""
        return EWGSQuant(inner, self.delta, every=self.every, batches=self.batches)

    def refuses(self, site: SiteSpec) -> str:
        """Refuse what the base refuses, and a base without second derivatives where they are needed."""
        if self.delta is None and not self.base.double_backward:
            return f"EWGS differentiates twice, which {self.base.name} does not allow; write delta=0.2 or another base"
        return super().refuses(site)

    def on_loss(self, model: nn.Module, loss: Tensor) -> None:
        """Estimate the curvature at each site where that is due."""
        quants = {site.weight_quant: None for _, site in sites_of(model)}
        due = [q for q in quants if isinstance(q, EWGSQuant) and q.seen]
        if not due:
            return
        seen = [s for q in due for s in q.seen]
        values = [s.value for s in seen]
        first = _by_owner(seen, torch.autograd.grad(loss, values, create_graph=True, allow_unused=True))
        draw = stream(f"{self.seed}/ewgs/{due[0].now}", loss.device)
        traces = dict.fromkeys(due, torch.zeros((), device=loss.device))
        for _ in range(self.probes):
            signs = {q: torch.empty_like(g).bernoulli_(generator=draw).mul_(2).sub_(1) for q, g in first.items()}
            along = torch.stack([(first[q] * v).sum() for q, v in signs.items()]).sum()
            if not along.requires_grad:
                break
            second = torch.autograd.grad(along, values, retain_graph=True, allow_unused=True)
            for q, h in _by_owner(seen, second).items():
                traces[q] = traces[q] + (signs[q] * h).sum() / self.probes
        for q in due:
            q.take(traces[q], first[q].detach().std(), first[q].numel())


def _by_owner(seen: Sequence[Seen], gradients: Sequence[Tensor | None]) -> dict[EWGSQuant, Tensor]:
    """Sum gradients by quantized weights to gradients by weights between 0 and 1; a layer may run several times."""
    found: dict[EWGSQuant, Tensor] = {}
    for s, gradient in zip(seen, gradients, strict=True):
        mine = s.width * (torch.zeros_like(s.value) if gradient is None else gradient)
        found[s.owner] = found[s.owner] + mine if s.owner in found else mine
    return found
