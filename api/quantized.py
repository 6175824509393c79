"""A model while it is trained with a quantizer, and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from quantdg.bench.packed.aliases import aliases_of
from quantdg.bench.packed.file import write_packed
from quantdg.core.errors import QuantizerError
from quantdg.quantizers.base import Plan, Quantizer, SiteAudit, Skipped
from quantdg.quantizers.export import SiteExport

from .batches import Batch, inputs_of


class QuantizedModel:
    """What `quantdg.quantize` returns: the model, the method that quantizes it and the count of their steps.

    Attributes:
        model: the model that was given, quantized in place.
        quantizer: the method.
        steps: optimizer steps since quantization; set it when training goes on from a checkpoint.
    """

    def __init__(self, model: nn.Module, quantizer: Quantizer, names: frozenset[str]) -> None:
        """``names``: state-dict keys of the float model."""
        self.model, self.quantizer, self.steps = model, quantizer, 0
        self._names = names

    def __repr__(self) -> str:
        """One line: method, bits, how many layers, how many steps."""
        plan, spec = self.plan, self.quantizer.spec
        bits = f" {spec.label}" if plan.sites else ""
        return f"<QuantizedModel {self.quantizer.name}{bits}: {len(plan.sites)} layers quantized, {self.steps} steps>"

    @property
    def plan(self) -> Plan:
        """Layers quantized with their bits, layers left in float, parameters added and frozen."""
        return self.quantizer.plan

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The layers left in float, each with its reason."""
        return self.plan.skipped

    def param_groups(self, lr: float) -> list[dict[str, Any]]:
        """Optimizer groups of the parameters that quantization added, and only of them.

        Args:
            lr: the base learning rate, > 0; theirs is ``lr * lr_ratio`` of the method.
        """
        return self.quantizer.param_groups(self.model, lr)

    def penalty(self) -> Tensor:
        """The method's own term of the loss, a scalar; 0 for a method that has none."""
        own = self.quantizer.penalty(self.model)
        return torch.zeros((), device=next(self.model.parameters()).device) if own is None else own

    def on_loss(self, loss: Tensor) -> None:
        """Show the loss before its ``backward()``; methods that need its curvature ask for it."""
        self.quantizer.on_loss(self.model, loss)

    def after_step(self) -> None:
        """Must follow each ``optimizer.step()``: schedules and projections of the method happen here."""
        self.steps += 1
        self.quantizer.on_step(self.model, self.steps)

    def calibrate(self, calibration: Iterable[Batch]) -> None:
        """Set the ranges anew from inputs; it must follow the last step of post-training methods, which round here."""
        self.quantizer.calibrate(self.model, inputs_of(calibration, self.model))

    def after_average(self, calibration: Iterable[Batch]) -> str:
        """Must follow an averaging of the model's parameters, as in SWA; returns what was done with the ranges."""
        return self.quantizer.after_average(self.model, inputs_of(calibration, self.model))

    def audit(self) -> pd.DataFrame:
        """Evidence that the method works: a row per layer, by name.

        The columns are the fields of `quantdg.quantizers.SiteAudit`: weight codes in use, noise over signal,
        saturation, how far weights and learned quantizer parameters have moved since quantization; then what the method
        alone has, as ``own.NAME``.
        """
        sites = self.quantizer.audit(self.model).sites
        rows = [site.flat() for site in sites.values()]
        common = (field.name for field in fields(SiteAudit) if field.name != "own")
        columns = list(dict.fromkeys([*common, *(name for row in rows for name in row)]))
        frame = pd.DataFrame(rows, pd.Index(sites.keys(), name="layer"), columns)
        return frame.astype({name: float for name in columns if name != "levels_used"})

    def export(self) -> dict[str, SiteExport]:
        """Integer codes and scales by layer, with the grid of its input where that is quantized.

        ``export()[name].weight.dequantize()`` is the fake-quantized weight bit for bit.
        """
        return self.quantizer.export(self.model)

    def save(self, path: str | PathLike[str]) -> int:
        """Write codes, scales and the float rest as one safetensors file, read it back, check every weight.

        Returns:
            The file's bytes.

        Raises:
            QuantizerError: the method removed a tensor of the float model.
            RecordError: the file cannot be written, or read back it differs.
        """
        state = self.model.state_dict()
        gone = sorted(self._names - state.keys())
        if gone:
            raise QuantizerError(f"prepare must keep every float state-dict key, but {gone[0]!r} is gone")
        sites = self.export()
        aliases = aliases_of({n: state[n] for n in self._names}, {site.key(name) for name, site in sites.items()})
        floats = {n: state[n].detach().cpu().clone() for n in sorted(self._names) if n not in aliases}
        return write_packed(Path(path), floats, sites, aliases, outputs=self.quantizer.outputs(self.model))
