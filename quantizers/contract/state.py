"""Contract checks about insertion and state. Each takes a factory and raises AssertionError."""

from __future__ import annotations

import copy

import torch
from torch import nn

from .toy_net import ToyNet, calibration, float_net, images
from .trial import MakeQuantizer, Skip, expect, same_state, snapshot, specs, start, trials


def check_identity(make: MakeQuantizer) -> Skip | None:
    """Parameter objects, their values, the float state-dict keys and Adam's state survive prepare and calibrate."""
    for spec in specs(make):
        net = float_net()
        objects, keys, values = dict(net.named_parameters()), set(net.state_dict()), snapshot(net)
        t = start(make, spec, net, float_steps=0)
        now = dict(net.named_parameters())
        for name, p in objects.items():
            expect(now.get(name) is p, spec, f"{name} is another Parameter object; the optimizer holds the old one")
        missing = keys - set(net.state_dict())
        expect(not missing, spec, f"the state dict lost {sorted(missing)}; keep the float keys")
        changed = [n for n in values if not torch.equal(net.state_dict()[n], values[n])]
        expect(not changed, spec, f"prepare or calibrate changed {changed}")
        t = start(make, spec)
        t.train(1)
        for name, p in t.net.named_parameters():
            if name in t.plan.parameters:  # a schedule may let it learn later
                continue
            expected = 3 if name in t.plan.frozen else 4
            got = int(t.optimizer.state[p]["step"]) if p in t.optimizer.state else 0
            expect(
                got == expected, spec, f"Adam counts {got} steps for {name} instead of {expected}; its state is lost"
            )
    return None


def check_class_kept(make: MakeQuantizer) -> Skip | None:
    """The model's class, attributes and overridden train() survive, and layers stay instances of their class."""
    for t in trials(make):
        expect(isinstance(t.net, ToyNet), t.spec, f"the model is now a {type(t.net).__name__}")
        expect(getattr(t.net, "n_outputs", None) == 24, t.spec, "the model lost an attribute of its own")
        t.net.train()
        norms = [m for m in t.net.modules() if isinstance(m, nn.BatchNorm2d)]
        expect(len(norms) == 3, t.spec, f"the model has {len(norms)} BatchNorm2d layers instead of 3")
        expect(not any(m.training for m in norms), t.spec, "the overridden train(), which holds BatchNorm, is gone")
        convolutions = sum(isinstance(m, nn.Conv2d) for m in t.net.modules())
        expect(convolutions == 3, t.spec, f"{convolutions} layers are instances of nn.Conv2d instead of 3")
    return None


def check_deepcopy(make: MakeQuantizer) -> Skip | None:
    """A deep copy right after a backward pass works, computes the same and shares nothing."""
    for t in trials(make):
        t.train(2)
        twin = copy.deepcopy(t.net)
        before = t.logits()
        original, t.net = t.net, twin
        expect(torch.equal(before, t.logits()), t.spec, "a deep copy computes other logits")
        kept = snapshot(twin)
        t.net = original
        t.train(2)
        changed = same_state(kept, twin.state_dict())
        expect(not changed, t.spec, f"training the original changed its deep copy: {changed}")
        t.net = twin
        expect(torch.equal(before, t.logits()), t.spec, "training the original changed the logits of its deep copy")
    return None


def check_strict_reload(make: MakeQuantizer) -> Skip | None:
    """A trained state dict loads strictly into a fresh prepare and gives the same logits and integers."""
    for t in trials(make):
        t.train(3)
        fresh = start(make, t.spec, float_steps=0)
        fresh.net.load_state_dict(snapshot(t.net), strict=True)
        expect(torch.equal(t.logits(), fresh.logits()), t.spec, "a reloaded model computes other logits")
        ours, theirs = t.quantizer.export(t.net), fresh.quantizer.export(fresh.net)
        expect(ours.keys() == theirs.keys(), t.spec, "a reloaded model exports other sites")
        for name, site in ours.items():
            equal = torch.equal(site.weight.codes, theirs[name].weight.codes) and site.act == theirs[name].act
            expect(equal, t.spec, f"a reloaded model exports other integers for {name}")
    return None


def check_resume(make: MakeQuantizer) -> Skip | None:
    """Stopping and resuming on a fresh object gives the weights, and the audit, of one uninterrupted run."""
    for spec in specs(make):
        whole, stopped = start(make, spec), start(make, spec)
        stopped.train(4)
        resumed = start(make, spec)
        resumed.net.load_state_dict(snapshot(stopped.net))
        resumed.optimizer.load_state_dict(copy.deepcopy(stopped.optimizer.state_dict()))
        resumed.done = 4
        whole.train(8)
        resumed.train(4)
        changed = same_state(snapshot(whole.net), snapshot(resumed.net))
        expect(not changed, spec, f"a resumed run differs in {changed}; keep all state in Parameters and buffers")
        a, b = whole.quantizer.audit(whole.net).sites, resumed.quantizer.audit(resumed.net).sites
        expect(a == b, spec, "a resumed run has another audit; measure movement against the branch point")
    return None


def check_eval_is_pure(make: MakeQuantizer) -> Skip | None:
    """An eval forward changes no state, on inputs far outside the calibrated range too."""
    for t in trials(make):
        t.train(1)
        t.net.eval()
        before = snapshot(t.net)
        with torch.no_grad():
            first = t.net(images(600)[0])
            t.net(100 * images(601)[0] - 50)
            second = t.net(images(600)[0])
        changed = same_state(before, t.net.state_dict())
        expect(not changed, t.spec, f"an eval forward changed {changed}; move ranges only while `observing`")
        expect(torch.equal(first, second), t.spec, "an eval forward changed what the next one computes")
    return None


def check_calibration(make: MakeQuantizer) -> Skip | None:
    """Calibration creates no parameter or buffer, keeps the float state and restores every training flag."""
    for t in trials(make):
        floats = float_net().state_dict().keys()
        t.net.train()
        keys, before = set(t.net.state_dict()), snapshot(t.net)
        flags = {n: m.training for n, m in t.net.named_modules()}
        t.quantizer.calibrate(t.net, calibration(2))
        after = t.net.state_dict()
        expect(set(after) == keys, t.spec, f"calibrate added or removed {sorted(set(after) ^ keys)}")
        changed = [n for n in floats if not torch.equal(before[n], after[n])]
        expect(not changed, t.spec, f"calibrate changed {changed}")
        reset = [n for n, m in t.net.named_modules() if m.training != flags[n]]
        expect(not reset, t.spec, f"calibrate left the training flag of {reset} changed")
    return None
