r"""NNI LSQ: learned scales as Neural Network Intelligence 3.0 ships them, or with the paper's start.

    w_q = s round(clip(w / s, -Qp, Qp)),   Qp = 2^(b-1) - 1
    dw_q/dw = 1 inside the clip range, else 0;   dw_q/ds = round(w/s) - w/s inside, -Qp or Qp outside,
    times 1 / sqrt(N Qp), N = values of the whole tensor also where scales are per channel

NNI lets an update take s below zero; codes are symmetric, so that -s with their signs turned is the same grid, which is stored.

Start: ``init="shipped"`` sets every scale to 0.01 and NNI writes it again at each forward until the first optimizer
step is done; ``init="paper"`` uses s = 2 E|x| / sqrt(Qp), over calibration batches the mean of their values. Inputs
use the same signed range, since NNI fixes the type before it sees data: after a ReLU half of it is unused.

Reference: Esser et al., "Learned Step Size Quantization", ICLR 2020, as implemented in NNI 3.0 (LsqQuantizer).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .base import LEARNING_RATE
from .fake_quant import SMALLEST_SCALE, QParams, fake_quants
from .lsq import initial_scale
from .nni_adapter import NNIQuant, NNISiteQuantizer
from .spec import QuantSpec, SiteSpec


class NNILSQQuant(NNIQuant):
    """This wraps NNI's LsqQuantizer; ``started`` is its ``is_init`` as a buffer, so that a checkpoint has it."""

    started: Tensor
    batches: Tensor
    paper_init = False

    def __init__(self, quantizer: str, layer: nn.Module, config: dict[str, Any], target: str) -> None:
        super().__init__(quantizer, layer, config, target)
        self.register_buffer("started", torch.tensor(False))
        self.register_buffer("batches", torch.tensor(0))

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.backend.is_init = bool(self.started)

    def start(self) -> None:
        """Let gradients set the scale from now on."""
        self.started.fill_(True)
        self.backend.is_init = True

    def restart(self) -> None:
        """Count calibration batches anew."""
        self.batches.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Fake-quantize x as NNI does; with the paper's start, calibration sets the scale first."""
        out = super().forward(x)
        if not (self.paper_init and self.calibrating):
            return out
        with torch.no_grad():
            scale = self.get("scale")
            start = self.scale_factor * initial_scale(x, scale.dim() > 1, self.get("qmax"))
            scale.lerp_(start.reshape(scale.shape), 1 / (int(self.batches) + 1))
            self.batches += 1
        self.start()
        return super().forward(x)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return NNI's grid, which a scale below zero only reflects: its codes are symmetric, and NNI lets the update pass zero."""
        grid = super().qparams(x)
        return grid._replace(scale=grid.scale.abs()) if grid.qmin == -grid.qmax else grid


class PaperNNILSQQuant(NNILSQQuant):
    """This wraps the same quantizer with the paper's start."""

    paper_init = True

    def project(self) -> None:
        """Keep the scale positive: the update may overshoot zero."""
        self.get("scale").data.clamp_(min=SMALLEST_SCALE)


def start_all(model: nn.Module) -> None:
    """Let gradients set every scale of a model from now on."""
    for quant in fake_quants(model):
        if isinstance(quant, NNILSQQuant):
            quant.start()


class NNILSQ(NNISiteQuantizer):
    """NNI LSQ runs NNI's LsqQuantizer.

    Args:
        spec: what to quantize.
        lr_ratio: as for `Quantizer`.
        seed: as for `Quantizer`; without effect, since NNI's method draws nothing.
        averaged: only ``average``: the averaged scales stay.
        scale_factor: as for `SiteQuantizer`, with ``init="paper"`` only.
        init: ``shipped`` for NNI's constant 0.01, ``paper`` for 2 E|x| / sqrt(Qp).
    """

    name = "nni_lsq"
    reference = "Esser et al., ICLR 2020, in NNI 3.0"
    meaning = "rounding with a learned scale, as NNI implements it"
    family = "learned"
    nni_class = "LsqQuantizer"
    ranges = LEARNING_RATE

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        lr_ratio: float = 0.1,
        seed: int = 0,
        averaged: str | None = None,
        scale_factor: float = 1.0,
        init: str = "shipped",
    ) -> None:
        if init == "paper":
            self.fixed_scale_reason = ""
        super().__init__(spec, lr_ratio=lr_ratio, seed=seed, averaged=averaged, scale_factor=scale_factor)
        if init not in ("shipped", "paper"):
            raise ConfigError(f"init must be 'shipped' or 'paper', got {init!r}; write for example init='paper'")
        self.quant = PaperNNILSQQuant if init == "paper" else NNILSQQuant

    def act_config(self, site: SiteSpec) -> dict[str, Any]:
        """Use signed, symmetric codes, the only scheme NNI's LSQ knows."""
        return {"quant_dtype": f"int{site.act_bits}", "quant_scheme": "symmetric", "granularity": "default"}

    @torch.no_grad()
    def on_step(self, model: nn.Module, step: int) -> None:
        """Do what NNI's patched optimizer does after its first step."""
        super().on_step(model, step)
        start_all(model)
