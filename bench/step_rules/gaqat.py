r"""GAQAT and FQAT: SAGM that takes the task's gradient away from scales which it pushes in one direction.

    d_i = 1/(n - 1) sum_t 1[sgn g_i(t) != sgn g_i(t + 1)],   g_i = gradient of pass 1, over the last n steps of scale i
    every K steps: frozen_i = (d_i < tau); until the next time scale i gets g' / 2 of pass 2, else SAGM's (g + g') / 2

A low disorder d says that the task, pass 1, and the smoothness, pass 2, disagree for long about a scale. ``side`` says which
gradient a frozen one loses: ``task``, ``smooth`` or ``both``, which takes it out of the step, so that Adam's moments do not
move it either. ``scope=layer`` freezes a scale's weight with it. ``choose=alternate`` freezes all and none by turns every K
steps, a control that does not look at d. `fqat` is ``scope=layer`` with K = 1: layers are chosen anew at each step.

A quantizer's parameter has one d, from the sign of its summed gradient, whether it has one value or one per channel; a
parameter without a gradient in a step does not count it; the sign of 0 is a third one. Where a quantizer learns nothing the rule is SAGM.

Reference: "Gradient-Adaptive Quantization-Aware Training for Domain Generalization" (GAQAT), arXiv 2412.05551, and FQAT,
arXiv 2509.00859. This is our reading of abstracts and reviews: gradient disorder over n steps and freezing the task's
gradient of scales of low disorder every K steps are theirs; n, K, tau, which gradient is which pass, and that FQAT freezes
weights with their scales could not be confirmed.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.host import like
from ...quantizers.insertion import sites_of
from ...quantizers.spec import check_choice
from .base import Gradients, Terms, Trained
from .sagm import SAGM

Scope = Literal["scale", "layer"]
Side = Literal["task", "smooth", "both"]
Choose = Literal["disorder", "alternate"]


def disorder(signs: Tensor) -> Tensor:
    """Return the share of neighbours in rows of signs, (rows, n), that differ: (rows,), 0 to 1."""
    return (signs[:, 1:] != signs[:, :-1]).float().mean(1)


class GAQAT(SAGM, nn.Module):
    """It is SAGM with a controller of scales; its counters are buffers and so in the checkpoint.

    Args:
        rho: as for `SAGM`.
        alpha: as for `SAGM`.
        window: n, steps that d is taken over, >= 2.
        every: K, steps between two decisions, >= 1; null: ``window``.
        tau: d below it freezes, >= 0; 0 never does, above 1 always.
        scope: what freezes: the ``scale``, or the ``layer``, its weight too.
        side: the gradient that a frozen one does without: ``task``, ``smooth`` or ``both``.
        choose: by ``disorder``, or ``alternate`` blindly.

    Attributes:
        signs: of the summed gradients of pass 1, (quantizer's parameters, n), the newest last.
        counts: gradients seen of each.
        frozen: which are, in the next step.
        held: steps that each was frozen in.
        steps: taken since there are parameters.
    """

    signs: Tensor
    counts: Tensor
    frozen: Tensor
    held: Tensor
    steps: Tensor

    def __init__(
        self,
        *,
        rho: float = 0.05,
        alpha: float = 0.001,
        window: int = 100,
        every: int | None = None,
        tau: float = 0.3,
        scope: Scope = "scale",
        side: Side = "task",
        choose: Choose = "disorder",
    ) -> None:
        nn.Module.__init__(self)
        SAGM.__init__(self, rho=rho, alpha=alpha)
        if window < 2 or (every is not None and every < 1) or not tau >= 0:
            raise ConfigError(
                "step_rule needs window of at least 2, every of at least 1 or null and tau of at least 0, got "
                f"{window}, {every} and {tau}; write 100, null and 0.3"
            )
        check_choice("step_rule.scope", scope, Scope)
        check_choice("step_rule.side", side, Side)
        check_choice("step_rule.choose", choose, Choose)
        self.window, self.every, self.tau = window, every or window, tau
        self.scope, self.side, self.choose = scope, side, choose
        self._size(0)
        self._chosen: list[bool] = []
        self._count = 0

    def _size(self, rows: int, device: torch.device | None = None) -> None:
        self.register_buffer("signs", torch.zeros(rows, self.window, dtype=torch.int8, device=device))
        self.register_buffer("counts", torch.zeros(rows, dtype=torch.int64, device=device))
        self.register_buffer("frozen", torch.zeros(rows, dtype=torch.bool, device=device))
        self.register_buffer("held", torch.zeros(rows, dtype=torch.int64, device=device))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64, device=device))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        signs = state_dict.get(f"{prefix}signs", self.signs)
        self._size(len(signs), self.signs.device)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._chosen, self._count = self.frozen.tolist(), int(self.steps)

    def step(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Take SAGM's step without what is frozen, then count and decide."""
        scales = _quantizer_parameters(algorithm.optimizer)
        if len(scales) != len(self.signs):
            self._size(len(scales), scales[0].device)
            self._chosen, self._count = [False] * len(scales), 0
        self._frozen = self._frozen_parameters(algorithm, scales)
        terms = super().step(algorithm, gradients)
        self._decide()
        return terms

    def look(self, algorithm: Trained, gradients: Gradients) -> Terms:
        """Make the first pass and note the signs."""
        terms = gradients()
        grads = [p.grad for p in _quantizer_parameters(algorithm.optimizer)]
        self._some = any(g is not None for g in grads)
        self._seen = like(self.frozen, [g is not None for g in grads])
        now = [torch.zeros((), device=self.signs.device) if g is None else g.sum().sign() for g in grads]
        self._now = torch.stack(now).to(torch.int8) if now else self.counts.to(torch.int8)
        return terms

    def mix(self, kept: list[tuple[nn.Parameter, Tensor]]) -> None:
        """Mix as SAGM does; a frozen parameter keeps one half, or has no gradient at all."""
        first = {id(p): grad for p, grad in kept}
        super().mix([(p, grad) for p, grad in kept if id(p) not in self._frozen])
        for key, p in self._frozen.items():
            if self.side == "task":
                p.grad = None if p.grad is None else p.grad * self.second
            else:
                p.grad = self.first * first[key] if self.side == "smooth" and key in first else None

    def _frozen_parameters(self, algorithm: Trained, scales: list[nn.Parameter]) -> dict[int, nn.Parameter]:
        found = {id(p): p for p, frozen in zip(scales, self._chosen, strict=True) if frozen}
        if self.scope == "layer":
            for _, site in sites_of(algorithm.network):
                own = [id(p) for p in site.weight_quant.parameters() if p.requires_grad]
                if own and all(key in found for key in own):
                    found[id(site.latent)] = site.latent
        return found

    @torch.no_grad()
    def _decide(self) -> None:
        if not self._some:
            return
        self.held += self.frozen & self._seen
        newest = torch.cat([self.signs[:, 1:], self._now[:, None]], 1)
        self.signs.copy_(torch.where(self._seen[:, None], newest, self.signs))
        self.counts += self._seen
        self.steps += 1
        self._count += 1
        turn, rest = divmod(self._count, self.every)
        if rest:
            return
        if self.choose == "alternate":
            self.frozen.fill_(turn % 2 == 1)
        else:
            self.frozen.copy_((disorder(self.signs) < self.tau) & (self.counts >= self.window))
        self._chosen = self.frozen.tolist()  # the one time in ``every`` steps that a GPU is waited for

    def report(self) -> dict[str, Any]:
        """Return the share of steps that a parameter was frozen in, and the mean d of the last n steps, once there are n."""
        whole = self.counts >= self.window
        return {
            "frozen": round(float(self.held.sum()) / max(int(self.counts.sum()), 1), 4),
            "disorder": round(float(disorder(self.signs)[whole].mean()), 4) if bool(whole.any()) else None,
            "parameters": len(self.signs),
        }


def _quantizer_parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for g in optimizer.param_groups if g.get("quantizer", False) for p in g["params"]]
