"""Contract checks about numbers: levels, scale, integers, evidence. Each takes a factory and raises AssertionError."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..acting import idle_sites
from ..export import QTensor
from ..insertion import latent_parameter
from ..spec import QuantSpec
from .toy_net import accuracy, float_net, images, logits
from .trial import MakeQuantizer, Skip, expect, functional_weights, start, supported, trials

NO_SITES = Skip("it plans no quantized layer")


def check_levels(make: MakeQuantizer) -> Skip | None:
    """Each site computes with at most 2^b values per channel grid and uses more than 2^(b-2) codes.

    A code book may crowd its levels near zero, where few weights fall: there more than two codes are enough.
    """
    for t in trials(make):
        if not t.plan.sites:
            return NO_SITES
        t.train(2)
        exported, computed = t.quantizer.export(t.net), functional_weights(t.net)
        for site in t.plan.sites:
            bits, name = site.weight_bits, site.name
            per_channel = exported[name].weight.axis is not None
            rows = computed[name].flatten(1) if per_channel else computed[name].flatten()[None]
            most = max(len(torch.unique(row)) for row in rows)
            expect(
                most <= 2**bits, t.spec, f"{name} computes with {most} values on one grid, {bits} bits allow {2**bits}"
            )
            used = len(torch.unique(exported[name].weight.codes))
            least = 2 ** (bits - 2) if exported[name].weight.levels is None else 2
            expect(used > least, t.spec, f"{name} uses {used} codes, {bits} bits should use over {least}")
    return None


def check_accuracy(make: MakeQuantizer) -> Skip | None:
    """After calibration alone 8 bits cost at most 0.05 accuracy, and 4 bits stay far above chance."""
    reference, tried = accuracy(float_net()), 0
    limits = {QuantSpec(8): reference - 0.05, QuantSpec(8, 8): reference - 0.05}
    limits |= {QuantSpec(4): 0.5, QuantSpec(4, 4): 0.5}
    for asked, limit in limits.items():
        for spec in supported(make, [asked]):
            tried += 1
            got = accuracy(start(make, spec, float_steps=0).net)
            expect(
                got >= limit, spec, f"accuracy {got:.2f} after calibration, at least {limit:.2f}, float {reference:.2f}"
            )
    return None if tried else Skip("it supports neither 4 nor 8 bits")


def check_scale_contract(make: MakeQuantizer) -> Skip | None:
    """At 8 bits a quantized weight has cosine > 0.99 with the weight and a norm within 10 %: BatchNorm is frozen.

    On a code book, and on a grid without a zero, cosine > 0.97 and 15 % are enough: powers of two, and a clip at twice
    the mean weight, have relative noise 0.2 at any width.
    """
    for spec in [s for asked in (QuantSpec(8), QuantSpec(8, 8)) for s in supported(make, [asked])]:
        net = float_net()
        with torch.no_grad():
            for i, p in enumerate(p for p in net.parameters() if p.dim() > 1):
                generator = torch.Generator().manual_seed(i)
                p.copy_(torch.randn(p.shape, generator=generator) * 0.02)
        exported = start(make, spec, net, float_steps=0).quantizer.export(net)
        for name, w_q in functional_weights(net).items():
            w = latent_parameter(net, f"{name}.weight").detach()
            cosine = float((w * w_q).sum() / (w.norm() * w_q.norm()).clamp_min(1e-12))
            ratio = float(w_q.norm() / w.norm())
            q = exported[name].weight if name in exported else None
            uniform = q is None or (q.levels is None and bool((q.zero_point == q.zero_point.round()).all()))
            least, off = (0.99, 0.1) if uniform else (0.97, 0.15)
            kept = cosine > least and abs(ratio - 1) <= off
            expect(kept, spec, f"{name}: cosine {cosine:.3f}, norm ratio {ratio:.3f}; return w_q on the scale of w")
        return None
    return Skip("it does not support 8 bits")


def check_plan_is_true(make: MakeQuantizer) -> Skip | None:
    """The planned sites, and no other layer, evaluate with a weight that is not the Parameter; the rest has a reason."""
    for t in trials(make):
        planned = {site.name for site in t.plan.sites}
        for name, used in functional_weights(t.net).items():
            changed = not torch.equal(used, latent_parameter(t.net, f"{name}.weight"))
            expect(
                changed == (name in planned),
                t.spec,
                f"{name} is {'' if changed else 'not '}quantized, the plan differs",
            )
        for skipped in t.plan.skipped:
            expect(bool(skipped.reason), t.spec, f"{skipped.name} is skipped without a reason")
        for site in t.plan.sites:
            asked = t.spec.site(site.name)
            expect(asked == site, t.spec, f"{site.name} is planned as {site}, the spec asks for {asked}")
        expect(set(t.quantizer.export(t.net)) == planned, t.spec, f"export must hold exactly {sorted(planned)}")
    return None


def check_sites_act(make: MakeQuantizer) -> Skip | None:
    """In training and in evaluation the output depends on every planned site as it is exported, and on no float weight."""
    for t in trials(make):
        if not t.plan.sites:
            return NO_SITES
        idle = idle_sites(t.net, t.quantizer.export(t.net), images(0)[0])
        expect(not idle, t.spec, "; ".join(f"{name}: {reason}" for name, reason in idle.items()))
    return None


def check_audit(make: MakeQuantizer) -> Skip | None:
    """The audit bears the class's name and agrees with what the model computes."""
    for t in trials(make):
        t.train(3)
        audit = t.quantizer.audit(t.net)
        name = type(t.quantizer).name
        expect(audit.quantizer == name, t.spec, f"the audit says {audit.quantizer!r}, the class is {name!r}")
        computed, exported = functional_weights(t.net), t.quantizer.export(t.net)
        for site in t.plan.sites:
            expect(site.name in audit.sites, t.spec, f"the audit lacks {site.name}")
            evidence, w = audit.sites[site.name], latent_parameter(t.net, site.key).detach()
            noise = float((computed[site.name] - w).std() / w.std())
            close = abs(evidence.noise_to_signal - noise) < 1e-3 + 0.01 * noise
            expect(
                close,
                t.spec,
                f"{site.name}: audit.noise_to_signal {evidence.noise_to_signal:.4f}, measured {noise:.4f}",
            )
            finite = all(math.isfinite(value) for value in evidence.own.values())
            expect(finite, t.spec, f"{site.name}: own numbers must be finite, got {evidence.own}")
            levels = len(torch.unique(exported[site.name].weight.codes))
            expect(
                evidence.levels_used == levels,
                t.spec,
                f"{site.name}: levels_used {evidence.levels_used}, measured {levels}",
            )
            moved = (evidence.weight_moved > 0) != (site.key in t.plan.frozen)
            expect(moved, t.spec, f"{site.name}: weight_moved is {evidence.weight_moved} after training")
            learned = [n for n in t.plan.parameters if n.startswith(f"{site.name}.") and _learns(t.net, n)]
            expect(
                not learned or bool(evidence.scale_moved), t.spec, f"{site.name}: scale_moved is {evidence.scale_moved}"
            )
    return None


def _learns(net: nn.Module, name: str) -> bool:
    """Say whether a parameter got a gradient; a schedule may let it learn later."""
    return latent_parameter(net, name).grad is not None


def check_export(make: MakeQuantizer) -> Skip | None:
    """Codes, scale and zero point give the weight of the eval forward bit for bit, at the branch and after training."""
    for t in trials(make):
        if not t.plan.sites:
            return NO_SITES
        for steps in (0, 5):
            t.train(steps)
            computed = functional_weights(t.net)
            for name, site in t.quantizer.export(t.net).items():
                same = torch.equal(site.weight.dequantize(), computed[name])
                expect(same, t.spec, f"{name}: weight.dequantize() is not the weight that the forward uses")
    return None


def check_codes_fit(make: MakeQuantizer) -> Skip | None:
    """The codes fit the stated bits, and the grid's fields are well formed."""
    for t in trials(make):
        if not t.plan.sites:
            return NO_SITES
        t.train(2)
        exported = t.quantizer.export(t.net)
        for site in t.plan.sites:
            q = exported[site.name].weight
            expect(
                q.bits == site.weight_bits, t.spec, f"{site.name} is stored in {q.bits} bits, not {site.weight_bits}"
            )
            _check_fields(t.spec, site.name, q)
            low = int(q.codes.min())
            span = int(q.codes.max()) - low
            expect(
                span < 2**q.bits, t.spec, f"{site.name}: codes span {span + 1} values, {q.bits} bits hold {2**q.bits}"
            )
    return None


def _check_fields(spec: QuantSpec, name: str, q: QTensor) -> None:
    shape = () if q.axis is None else (q.codes.shape[q.axis],)
    expect(not q.codes.is_floating_point(), spec, f"{name}: codes are {q.codes.dtype}, an integer type is needed")
    expect(q.scale.dtype == torch.float32, spec, f"{name}: the scale is {q.scale.dtype}, float32 is needed")
    expect(q.scale.shape == shape == q.zero_point.shape, spec, f"{name}: scale and zero point need the shape {shape}")
    positive = bool(q.scale.isfinite().all()) and bool((q.scale > 0).all())
    expect(positive, spec, f"{name}: scales must be positive and finite")
    halves = torch.equal(2 * q.zero_point, (2 * q.zero_point).round())
    expect(halves, spec, f"{name}: zero points must be whole numbers, or lie halfway on a grid without a zero")
    if q.levels is not None:
        fits = q.levels.numel() <= 2**q.bits and int(q.codes.min()) >= 0 and int(q.codes.max()) < q.levels.numel()
        expect(fits, spec, f"{name}: codes must index at most {2**q.bits} levels")


def check_dequantized_eval(make: MakeQuantizer) -> Skip | None:
    """A float net with the dequantized weights, and inputs rounded as exported, computes the quantized eval logits."""
    for t in trials(make):
        if not t.plan.sites:
            return NO_SITES
        t.train(3)
        exported, quantized = t.quantizer.export(t.net), t.logits()
        net = float_net()
        floats = {name: value for name, value in t.net.state_dict().items() if name in net.state_dict()}
        net.load_state_dict(floats)
        for name, site in exported.items():
            layer = net.get_submodule(name)
            layer.get_parameter("weight").data.copy_(site.weight.dequantize())
            if site.act is not None:
                layer.register_forward_pre_hook(lambda m, args, act=site.act: (act.quantize(args[0]),))
        gap = float((logits(net) - quantized).abs().mean() / quantized.std())
        limit = 0.01 if t.spec.act_bits else 1e-6  # a tie in an input may round the other way
        expect(gap <= limit, t.spec, f"dequantized weights compute other logits: mean gap {gap:.2g} of their spread")
    return None
