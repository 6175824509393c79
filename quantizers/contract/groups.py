"""The contract check of scales per group of input channels: each group is a grid of its own, and is exported as such."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from ..export import QTensor
from ..spec import QuantSpec
from .toy_net import float_net, logits
from .trial import MakeQuantizer, Skip, Trial, expect, functional_weights, specs, start

STEPS, GROUP_SIZE = 8, 8
"""Of the toy's 3, 16 and 16 input channels: one group, two and two."""


def check_groups(make: MakeQuantizer) -> Skip | None:
    """With a scale per group, weights are exported so bit for bit, scales and weights train, and the state reloads."""
    supported = specs(make)
    if not supported:
        return Skip("it supports no bits on the toy")
    spec = replace(supported[0], granularity="per_group", group_size=GROUP_SIZE)
    support = make(spec).supports(float_net(), spec)
    if not support.ok:
        return Skip(support.reason)
    trial = start(make, spec)
    if not trial.plan.sites:
        return Skip("it plans no quantized layer")
    before = {name: trial.net.get_parameter(name).detach().clone() for name in trial.plan.parameters}
    _check_weights(trial)
    trial.train(STEPS)
    exported = _check_weights(trial)
    scales = [q.scale for q in exported if q.group_size is not None]
    own = not scales or any(not torch.equal(s, s[:, :1].expand_as(s)) for s in scales)
    expect(own, spec, "the groups of a channel must have scales of their own, but all are equal")
    still = [name for name, value in before.items() if torch.equal(trial.net.get_parameter(name), value)]
    some = len(still) in (0, len(before))  # a schedule may train them later
    expect(
        some, spec, f"{still} are the same after {STEPS} steps, others moved; see that a gradient reaches each group"
    )
    _check_state(make, spec, trial)
    return None


def _check_weights(trial: Trial) -> list[QTensor]:
    """Hold each site's export against what it computes with, and return the exported weights."""
    computed, exported, spec = functional_weights(trial.net), trial.quantizer.export(trial.net), trial.spec
    for site in trial.plan.sites:
        q, weight = exported[site.name].weight, computed[site.name]
        groups = -(-weight.shape[1] // GROUP_SIZE)
        shape = (weight.shape[0], groups) if groups > 1 else (weight.shape[0],)
        expect(
            tuple(q.scale.shape) == shape, spec, f"{site.name}: scales have shape {tuple(q.scale.shape)}, not {shape}"
        )
        same = torch.equal(q.dequantize(), weight)
        expect(same, spec, f"{site.name}: weight.dequantize() is not the weight that the forward uses")
        rows = weight.reshape(-1, min(GROUP_SIZE, weight.shape[1]) * weight[0, 0].numel())
        most = max(len(torch.unique(row)) for row in rows)
        expect(most <= 2**site.weight_bits, spec, f"{site.name} computes with {most} values in one group")
    return [site.weight for site in exported.values()]


def _check_state(make: MakeQuantizer, spec: QuantSpec, trial: Trial) -> None:
    expected = trial.logits()
    expect(torch.equal(logits(copy.deepcopy(trial.net)), expected), spec, "a deep copy computes other logits")
    fresh = start(make, spec, float_steps=0)
    fresh.net.load_state_dict(trial.net.state_dict())
    expect(
        torch.equal(fresh.logits(), expected), spec, "the state dict, loaded into a fresh prepare, gives other logits"
    )
