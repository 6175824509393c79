"""The contract check of methods that quantize a finished float network. It takes a factory and raises AssertionError."""

from __future__ import annotations

import copy

import torch

from ...core.errors import QuantizerError
from .toy_net import LR, ToyNet, calibration, float_net, logits, train_step
from .trial import MakeQuantizer, Skip, Trial, expect, same_state, start, trials

STEPS = 4


def check_post_training(make: MakeQuantizer) -> Skip | None:
    """Training is the float network's bit for bit, nothing can be exported meanwhile, and calibration starts from scratch."""
    for t in trials(make):
        declared = type(t.quantizer).post_training
        expect(declared or t.quantizer.family != "post-training", t.spec, "its family needs post_training = True")
        if not declared:
            return Skip("it acts during training")
        net = _trained_float()
        t.step(STEPS)
        floats = net.state_dict()
        changed = same_state(floats, {n: v for n, v in t.net.state_dict().items() if n in floats})
        expect(not changed, t.spec, f"training differs from that of the float network in {changed}")
        expect(torch.equal(logits(net), t.logits()), t.spec, "between training and calibrate the network must be float")
        _check_no_export(t)
        t.quantizer.calibrate(t.net, calibration())
        _check_from_scratch(make, t, net)
    return None


def _trained_float() -> ToyNet:
    """The float network after the steps that a trial has taken."""
    net = float_net()
    optimizer = torch.optim.Adam(net.parameters(), LR)
    for step in (*range(-10, -7), *range(STEPS)):
        train_step(net.train(), optimizer, step, None)
    return net


def _check_no_export(t: Trial) -> None:
    try:
        t.quantizer.export(t.net)
    except QuantizerError:
        return
    raise AssertionError(f"{t.spec.label}: export gave codes of weights that have moved; raise QuantizerError")


def _check_from_scratch(make: MakeQuantizer, t: Trial, net: ToyNet) -> None:
    fresh = start(make, t.spec, copy.deepcopy(net), float_steps=0)
    ours, theirs = t.quantizer.export(t.net), fresh.quantizer.export(fresh.net)
    for name, site in ours.items():
        same = torch.equal(site.weight.dequantize(), theirs[name].weight.dequantize()) and site.act == theirs[name].act
        expect(same, t.spec, f"{name} is quantized otherwise than a float network with these weights; keep nothing")
