"""The contract check of quantized outputs: each acts, trains where something is learned, is exported, and is stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..acting import idle_sites
from ..export import OutputExport
from .grid import NO_SITES
from .toy_net import ToyNet, float_net, images
from .trial import WITH_INPUTS, MakeQuantizer, Skip, Trial, expect, snapshot, start, supported

CLOSE = 1e-3
"""Codes: what float32 may make of a value that lies on the grid."""
STEPS = 3
BRIGHT_STEPS = 2, 10
"""At least and at most as many steps more see images _BEYOND times as bright: an offset learns from clipped values only."""
_BEYOND = 32.0


def check_outputs(make: MakeQuantizer) -> Skip | None:
    """With ``placement=full`` each output is computed on the exported grid, learns, and comes back from a state dict.

    A class that quantizes inputs does all this, or `supports` refuses ``placement=full`` with the reason.
    """
    found = supported(make, WITH_INPUTS)[:1]
    if not found:
        return Skip("it quantizes no input")
    spec, net = replace(found[0], placement="full"), _signed()
    support = make(spec).supports(net, spec)
    if not support.ok:
        return Skip(f"it refuses placement=full: {support.reason}")
    t = start(make, spec, net)
    if not t.plan.sites:
        return NO_SITES
    expect(bool(t.plan.outputs), spec, "supports accepts placement=full, but plan.outputs is empty; refuse it")
    _check_learning(t, set(t.plan.parameters) - set(start(make, found[0], _signed(), float_steps=0).plan.parameters))
    t.train(0)  # a post-training quantizer is calibrated here
    idle = idle_sites(t.net, t.quantizer.export(t.net), images(0)[0])
    expect(not idle, spec, f"not in use: {idle}; what a plan names must act")
    _check_grids(t)
    _check_stored(t, start(make, spec, _signed(), float_steps=0))
    return None


def _signed() -> ToyNet:
    """The toy without the ReLU behind its second BatchNorm: what is added there has either sign, as in a ResNet."""
    net = float_net()
    net.featurizer[5] = nn.Identity()
    return net


def _check_learning(t: Trial, names: Collection[str]) -> None:
    """Each parameter that ``placement=full`` added gets a finite gradient other than 0, and moves.

    As many bright steps are taken as that needs: one may put a parameter back to where it began.
    """
    learned = {name: p for name, p in t.net.named_parameters() if name in names}
    before = {name: p.detach().clone() for name, p in learned.items()}
    largest = dict.fromkeys(learned, 0.0)
    least, most = BRIGHT_STEPS
    for brightness in [1.0] * STEPS + [_BEYOND] * most:
        t.step(1, brightness)
        for name, p in learned.items():
            slope = float(p.grad.abs().max()) if p.grad is not None else 0.0
            expect(slope < float("inf"), t.spec, f"{name} has a gradient of {slope}")
            largest[name] = max(largest[name], slope)
        still = {name for name, p in learned.items() if torch.equal(p, before[name])}
        if t.done >= STEPS + least and not still:
            break
    for name in learned:
        expect(largest[name] > 0, t.spec, f"{name} of a quantized output got no gradient in {t.done} steps")
        expect(name not in still, t.spec, f"{name} did not move in {t.done} steps of Adam")


def _check_grids(t: Trial) -> None:
    """In evaluation modules return values of the exported grids, and their readers export the same."""
    outputs, exported = t.quantizer.outputs(t.net), t.quantizer.export(t.net)
    planned = {output.module for output in t.plan.outputs}
    audited = t.quantizer.audit(t.net).outputs
    for what, names in (("Quantizer.outputs", set(outputs)), ("Audit.outputs", set(audited))):
        expect(names == planned, t.spec, f"{what} must hold exactly {sorted(planned)}, got {sorted(names)}")
    for name, values in _returned(t.net, outputs).items():
        act = outputs[name].act
        allowed = [act.quantize(values, nudge) for nudge in (0.0, act.last_bits, -act.last_bits)]
        gap = float(torch.stack([(values - a).abs() / act.scale for a in allowed]).amin(0).max())
        expect(gap <= CLOSE, t.spec, f"{name} returns a value {gap:.2g} codes off the exported grid")
        for reader in outputs[name].readers:
            expect(
                exported[reader].act == act, t.spec, f"{reader} reads {name}, but exports another grid for its input"
            )


def _returned(net: nn.Module, outputs: Mapping[str, OutputExport]) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}

    def keep(module: nn.Module, inputs: Any, out: Tensor, name: str) -> None:
        seen[name] = out.clone()

    handles = [net.get_submodule(name).register_forward_hook(partial(keep, name=name)) for name in outputs]
    net.eval()
    with torch.no_grad():
        net(images(900)[0])
    for handle in handles:
        handle.remove()
    return seen


def _check_stored(t: Trial, fresh: Trial) -> None:
    fresh.net.load_state_dict(snapshot(t.net), strict=True)
    expect(
        torch.equal(t.logits(), fresh.logits()), t.spec, "a reloaded model with quantized outputs computes other logits"
    )
    ours, theirs = t.quantizer.outputs(t.net), fresh.quantizer.outputs(fresh.net)
    expect(ours == theirs, t.spec, "a reloaded model exports other grids of outputs; keep all state in buffers")
