"""Contract checks about training: optimizer, gradients, randomness, averaging. Each takes a factory and raises AssertionError."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import torch
from torch import nn

from ...core.errors import NoMatchError
from ..insertion import latent_parameter
from ..spec import QuantSpec, Rule
from .toy_net import LR, accuracy, calibration, float_net, images
from .trial import (
    MakeQuantizer,
    Skip,
    Trial,
    expect,
    same_state,
    snapshot,
    specs,
    start,
    trials,
)

STEPS, LEAST = 25, 5
_BEYOND = 32.0


def check_supports(make: MakeQuantizer) -> Skip | None:
    """At least one spec works; a refusal has a reason; asking changes nothing."""
    net = float_net()
    before, classes = snapshot(net), [type(m) for m in net.modules()]
    found = specs(make)
    for spec in (QuantSpec(7), QuantSpec(4, 4), QuantSpec(3, symmetric=False), QuantSpec(2, granularity="per_tensor")):
        support = make(spec).supports(net, spec)
        expect(
            support.ok or bool(support.reason), spec, "supports() refuses without a reason; give Support(False, why)"
        )
    if not found:
        raise AssertionError("supports() refuses 2, 4, 7 and 8 bits with and without 8-bit inputs; one must work")
    changed = same_state(before, net.state_dict())
    expect(not changed, found[0], f"supports() changed {changed}; it may only look")
    expect(classes == [type(m) for m in net.modules()], found[0], "supports() changed a layer's class")
    return None


def check_optimizer_covers(make: MakeQuantizer) -> Skip | None:
    """Every parameter that requires a gradient is in exactly one optimizer group; new ones are in the plan."""
    for t in trials(make):
        owners = Counter(id(p) for group in t.optimizer.param_groups for p in group["params"])
        for name, p in t.net.named_parameters():
            count = owners.get(id(p), 0)
            if p.requires_grad:
                expect(count == 1, t.spec, f"{name} is in {count} optimizer groups; list it in plan.parameters once")
            else:
                expect(name in t.plan.frozen, t.spec, f"{name} does not train; list it in plan.frozen")
        for name in t.plan.frozen:
            p = latent_parameter(t.net, name)
            expect(not p.requires_grad and p.grad is None, t.spec, f"{name} is in plan.frozen but can still train")
        added = {n for n, _ in t.net.named_parameters()} - {n for n, _ in float_net().named_parameters()}
        expect(added == set(t.plan.parameters), t.spec, f"plan.parameters must be {sorted(added)}")
    return None


def check_learning_rates(make: MakeQuantizer) -> Skip | None:
    """The quantizer's optimizer groups hold its own parameters only, without weight decay, at lr_ratio times the rate."""
    for t in trials(make):
        if not t.plan.parameters:
            return Skip("it adds no parameter")
        own = {id(latent_parameter(t.net, n)) for n in t.plan.parameters}
        for group in t.quantizer.param_groups(t.net, LR):
            expect({id(p) for p in group["params"]} <= own, t.spec, "param_groups holds a parameter of the float model")
            expect(group.get("weight_decay") == 0, t.spec, "quantizer parameters must have weight_decay 0")
            expected = LR * t.quantizer.lr_ratio
            expect(
                abs(group["lr"] - expected) < 1e-12,
                t.spec,
                f"lr is {group['lr']} instead of lr_ratio * rate {expected}",
            )
    return None


def _step_and_look(t: Trial, largest: dict[str, float], brightness: float = 1.0) -> None:
    t.step(1, brightness)
    for name, p in t.net.named_parameters():
        if p.grad is not None:
            largest[name] = max(largest[name], float(p.grad.abs().max()))


def check_everything_trains(make: MakeQuantizer) -> Skip | None:
    """In real steps each site's weight and each learned quantizer parameter gets a gradient and moves.

    As many steps are taken as that needs, at least 5. The last two see inputs beyond every range, since an offset learns
    from clipped inputs only.
    """
    for t in trials(make):
        before = {n: p.detach().clone() for n, p in t.net.named_parameters()}
        largest = dict.fromkeys(before, 0.0)
        for _ in range(STEPS):
            _step_and_look(t, largest)
            still = [n for n, p in t.net.named_parameters() if not largest[n] or torch.equal(p, before[n])]
            if t.done >= LEAST and set(still) <= set(t.plan.frozen):
                break
        for _ in range(2):
            _step_and_look(t, largest, _BEYOND)
        for name, p in t.net.named_parameters():
            moved = not torch.equal(p, before[name])
            if name in t.plan.frozen:
                expect(not moved, t.spec, f"{name} is in plan.frozen but moved")
            else:
                expect(largest[name] > 0, t.spec, f"{name} got no gradient in {STEPS} steps")
                expect(moved, t.spec, f"{name} did not move in {STEPS} steps of Adam")
            expect(bool(p.isfinite().all()), t.spec, f"{name} is not finite after {STEPS} steps")
    return None


def _generators() -> tuple[list[int], str, str]:
    return torch.get_rng_state().tolist(), str(random.getstate()), str(np.random.get_state())


def check_global_rng(make: MakeQuantizer) -> Skip | None:
    """No call draws from torch's, Python's or numpy's global generator."""
    for spec in specs(make):
        before = _generators()
        t = start(make, spec)
        t.train(2)
        t.quantizer.audit(t.net)
        t.quantizer.export(t.net)
        t.logits()
        t.quantizer.after_average(t.net, calibration(1))
        same = _generators() == before
        expect(same, spec, "a global random generator moved; use a torch.Generator seeded from self.seed")
    return None


def _average(t: Trial) -> None:
    first = {n: p.detach().clone() for n, p in t.net.named_parameters()}
    t.train(10)
    with torch.no_grad():
        for name, p in t.net.named_parameters():
            p.copy_((p + first[name]) / 2)


def check_averaging(make: MakeQuantizer) -> Skip | None:
    """A model that carries averaged parameters is repaired in place, by a named policy, and stays accurate."""
    for t in trials(make):
        _average(t)
        keys, floats = set(t.net.state_dict()), float_net().state_dict().keys()
        before = snapshot(t.net)
        policy = t.quantizer.after_average(t.net, calibration())
        expect(isinstance(policy, str) and bool(policy), t.spec, "after_average must return the policy's name")
        after = t.net.state_dict()
        expect(set(after) == keys, t.spec, f"after_average added or removed {sorted(set(after) ^ keys)}")
        changed = [n for n in floats if not torch.equal(before[n], after[n])]
        expect(not changed, t.spec, f"after_average changed the averaged {changed}")
        got = accuracy(t.net)
        expect(got > 0.5, t.spec, f"averaging two nearby models leaves an accuracy of {got:.2f}, chance is 0.25")
    return None


def check_double_backward(make: MakeQuantizer) -> Skip | None:
    """A gradient penalty gives every training weight a finite gradient, where the class declares double_backward."""
    for t in trials(make):
        if not type(t.quantizer).double_backward:
            return Skip("it declares double_backward = False")
        x, labels = images(700)
        weights = [p for n, p in t.net.named_parameters() if n.endswith("weight") and p.requires_grad]
        t.net.train()
        loss = nn.functional.cross_entropy(t.net(x), labels)
        try:
            gradients = torch.autograd.grad(loss, weights, create_graph=True)
            second = torch.autograd.grad(torch.stack([g.square().sum() for g in gradients]).sum(), weights)
        except RuntimeError as error:
            raise AssertionError(
                f"{t.spec.label}: no double backward ({error}); declare double_backward = False"
            ) from error
        finite = all(bool(g.isfinite().all()) and float(g.abs().max()) > 0 for g in second)
        expect(finite, t.spec, "a gradient penalty gives a zero or infinite gradient; declare double_backward = False")
    return None


def check_unmatched_rule(make: MakeQuantizer) -> Skip | None:
    """A rule whose pattern matches no layer raises NoMatchError."""
    for spec in specs(make):
        t = start(make, spec)
        if not (t.plan.sites or t.plan.skipped):
            return Skip("it touches no layer")
        wrong = QuantSpec(spec.weight_bits, spec.act_bits, rules=(Rule("no.such.layer*", skip=True),))
        net = float_net()
        try:
            make(wrong).prepare(net, images(0)[0])
        except NoMatchError:
            continue
        raise AssertionError(f"{spec.label}: a rule that matches no layer went unnoticed; call choose(model, spec)")
    return None
