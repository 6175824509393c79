"""Quantized outputs of a prepared model: put in, seen to act, audited and handed out as grids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from ..core.errors import QuantizerError
from .audit import OutputAudit
from .base import PlacedOutput, Plan
from .export import OutputExport
from .fake_quant import FakeQuant, to_act_quant
from .insertion import insert_output, latent_parameter
from .movement import Movement
from .placement import Placed
from .rule import SiteSpec
from .spec import QuantSpec


def output_quant(model: nn.Module, output: PlacedOutput) -> Any:
    """Return the fake quantizer of an output, the one that all of its grid share."""
    module: Any = model.get_submodule(output.grid)
    return module.output_quant


def insert_outputs(model: nn.Module, placed: Placed, spec: QuantSpec, make: Callable[[SiteSpec], FakeQuant]) -> None:
    """Put a fake quantizer, as ``make`` gives it for an input, at each output that is not on its grid already."""
    made: dict[str, FakeQuant] = {}
    for output in placed.outputs:
        if output.carried:
            continue
        if output.grid not in made:
            made[output.grid] = make(replace(spec.whole(output.grid), act_bits=output.bits))
        insert_output(model, output.module, made[output.grid], copied=output.module in placed.copied)


def check_outputs_ran(model: nn.Module, outputs: Iterable[PlacedOutput], ran: Collection[FakeQuant]) -> None:
    """Raise QuantizerError unless a forward ran the fake quantizer of each output."""
    for output in outputs:
        if output_quant(model, output) not in ran:
            raise QuantizerError(
                f"the forward must compute what its symbolic trace says, but does not call {output.module!r}, whose output "
                "placement=full quantizes; write placement=inputs"
            )


def output_grids(model: nn.Module, outputs: Iterable[PlacedOutput]) -> dict[str, OutputExport]:
    """Return the grids of the outputs, by module."""
    return {
        output.module: OutputExport(
            to_act_quant(output.module, output_quant(model, output).qparams(), output.bits), output.readers
        )
        for output in outputs
    }


def audit_outputs(model: nn.Module, plan: Plan, movement: Movement) -> Mapping[str, OutputAudit]:
    """Return the evidence that the quantizers of outputs were trained, by module; those that share one say the same."""
    learned = [(name, latent_parameter(model, name)) for name in plan.parameters]
    found = {}
    for output in plan.outputs:
        own = {id(p) for p in output_quant(model, output).parameters()}
        found[output.module] = OutputAudit(*movement.of_scales((n, p) for n, p in learned if id(p) in own))
    return found
