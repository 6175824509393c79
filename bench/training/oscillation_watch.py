r"""How often weights oscillate at the end of a training: their codes turn back to where they came from.

    d_t = sign(code_(t-1) - code_t);   o_t = 1 where d_t is not 0 and the last d that was not 0 had the other sign
    rate = mean of o_t over the weights of a site and the last steps

The definition of `quantdg.quantizers.oscillation`, counted over the last 50 steps instead of followed through the whole
training, so that neither memory nor time of the other steps is spent and no method's state changes. The memory of the
direction begins with the window: a turn against a move before it is not seen, so slow oscillations are undercounted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ...quantizers.base import Audit, Quantizer
from ...quantizers.oscillation import turned

WINDOW = 50
"""The last optimizer steps whose codes are compared."""


class OscillationWatch:
    """It counts turns; `state` and `restore` are inverse."""

    def __init__(self) -> None:
        self.last: dict[str, Tensor] = {}
        self.direction: dict[str, Tensor] = {}
        self.turns: dict[str, float] = {}
        self.steps = 0

    def after_step(self, left: int, quantizer: Quantizer, network: nn.Module) -> None:
        """Take in the codes after an optimizer step, with ``left`` steps to come; only the last ones are looked at."""
        if left > WINDOW or quantizer.post_training:
            return
        codes = {name: site.weight.codes.to(torch.int16) for name, site in quantizer.export(network).items()}
        if self.last:
            self.steps += 1
        for name, now in codes.items():
            if name in self.last:
                found, self.direction[name] = turned(self.last[name], now, self.direction[name])
                self.turns[name] += float(found.float().mean())
            else:
                self.direction[name], self.turns[name] = torch.zeros_like(now, dtype=torch.int8), 0.0
            self.last[name] = now

    def noted(self, audit: Audit) -> Audit:
        """Return the audit with the rates, None where fewer than three codes in a row were seen."""
        if self.steps < 2:
            return audit
        rates = {name: turns / self.steps for name, turns in self.turns.items()}
        sites = {name: replace(site, oscillation=rates.get(name)) for name, site in audit.sites.items()}
        return replace(audit, sites=sites)

    def state(self) -> dict[str, Any]:
        """Return what a snapshot keeps; tensors only within the window."""
        return {"last": self.last, "direction": self.direction, "turns": self.turns, "steps": self.steps}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what a snapshot kept; one from before version 0.4 has nothing."""
        self.last, self.direction = dict(saved.get("last", {})), dict(saved.get("direction", {}))
        self.turns, self.steps = dict(saved.get("turns", {})), int(saved.get("steps", 0))
