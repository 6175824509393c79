"""Matched comparisons: a cell whose quantizer's bits and scale are chosen by its measured noise at insertion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from ...quantizers.base import Quantizer
from ...quantizers.noise_matching import inserted_noise, match_noise
from ...quantizers.spec import QuantSpec
from ..experiment.component import QuantizerComponent
from ..experiment.grid import Cell
from .data import CellData


def match_cell(cell: Cell, data: CellData, at_start: Callable[[], nn.Module]) -> tuple[Cell, dict[str, Any]]:
    """Return the cell with the quantizer that is trained, and what was chosen for it, by name.

    A cell that is not matched comes back as it is, with nothing chosen.

    Args:
        cell: of which ``match`` and ``quantizer`` are read.
        data: of the cell; one calibration batch is used, since no weight grid depends on inputs.
        at_start: the float network at the start step.

    Raises:
        UnmatchedError: the quantizer cannot have that noise.
    """
    rule, component = cell.match, cell.quantizer
    if rule is None or component.spec is None:
        return cell, {}
    network, batches, seed = at_start(), [next(data.calibration())], data.seeds.of("quantizer")

    def make(spec: QuantSpec, factor: float) -> Quantizer:
        return _changed(component, spec, factor).create(seed)

    target = rule.noise if rule.like is None else inserted_noise(network, rule.like.create(seed), batches)
    assert target is not None
    found = match_noise(network, make, component.spec, batches, target=target, tolerance=rule.tolerance)
    chosen = {"weight_bits": found.spec.weight_bits, "scale_factor": found.scale_factor}
    changed = _changed(component, found.spec, found.scale_factor)
    return replace(cell, quantizer=changed), {**chosen, "noise": found.noise, "target": target}


def _changed(component: QuantizerComponent, spec: QuantSpec, factor: float) -> QuantizerComponent:
    scaled = {} if factor == 1 else {"scale_factor": factor}
    return replace(component, spec=spec, options={**component.options, **scaled})
