"""Each contract check fails on a quantizer that is broken in just that way."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from quantdg.quantizers.base import Audit, Support
from quantdg.quantizers.contract.checks import CHECKS, run_check, run_checks
from quantdg.quantizers.contract.declaration import check_declaration
from quantdg.quantizers.contract.gradient import check_edge_gradient
from quantdg.quantizers.contract.outputs import check_outputs
from quantdg.quantizers.contract.post_training import check_post_training
from quantdg.quantizers.contract.toy_net import ToyNet
from quantdg.quantizers.fake_quant import FakeQuant, QParams
from quantdg.quantizers.insertion import output_quants
from quantdg.quantizers.lsq import LSQ, LSQQuant
from quantdg.quantizers.post_training import set_quantized
from quantdg.quantizers.round_to_nearest import RoundToNearest
from quantdg.quantizers.sites import SiteQuantizer
from quantdg.quantizers.spec import Rule
from quantdg.quantizers.torch_ao_learnable import TorchAOLearnable
from quantdg.quantizers.uniform_noise import NoiseQuant, UniformNoise


class SaysNothing(LSQ):
    meaning = ""


class SaysTooMuch(LSQ):
    meaning = "rounding\nand more"


class Unheard(LSQ):
    role = "treatment"  # pyright: ignore[reportAssignmentType]


class OfNoFamily(LSQ):
    family = "magic"  # pyright: ignore[reportAssignmentType]


class SpeaksForAnother(LSQ):
    name = "other"


class RefusesSilently(LSQ):
    def supports(self, model, spec):
        return Support(spec.weight_bits != 3)


class ForgetsItsGroup(LSQ):
    def param_groups(self, model, base_lr):
        return []


class FullRate(LSQ):
    def param_groups(self, model, base_lr):
        return [{"params": g["params"], "lr": base_lr} for g in super().param_groups(model, base_lr)]


class WithQuant(LSQ):
    quant = LSQQuant

    def weight_quantizer(self, weight, site):
        quant = self.quant(site.weight_bits, (weight.shape[0], *[1] * (weight.dim() - 1)))
        quant.start_from(weight)
        return quant


class DetachedScale(LSQQuant):
    def forward(self, x):
        scale = self.step_size.detach()
        return x + ((x / scale).round().clamp(*self.codes) * scale - x).detach() + 0 * self.step_size


class RoundsThenClamps(LSQQuant):
    """As torchao's primitives and BRECQ do: whole outer bins sit on the bound of torch.clamp."""

    def forward(self, x):
        scale = self.step_size
        v = x / scale
        rounded = v + (v.round() - v).detach()
        inside = (rounded.detach() > self.codes.qmin) & (rounded.detach() < self.codes.qmax)
        return torch.where(inside, rounded, rounded.detach().clamp(*self.codes)) * scale


class LeavesTheMaskToClamp(WithQuant):
    quant = RoundsThenClamps


class PassesWhatIsClipped(WithQuant):
    quant = LSQQuant

    def weight_quantizer(self, weight, site):
        quant = super().weight_quantizer(weight, site)
        quant.register_forward_hook(lambda module, inputs, out: out.detach() + inputs[0] - inputs[0].detach())
        return quant


class MasksInputsByTheirCode(LSQ):
    def act_quantizer(self, site):
        return RoundsThenClamps(site.act_bits, (), signed=None)


class ScaleNeverLearns(WithQuant):
    quant = DetachedScale


class HugeScale(LSQQuant):
    def start_from(self, x):
        super().start_from(x)
        self.step_size.data *= 8


class DeadLevels(WithQuant):
    quant = HugeScale


class TinyScale(LSQQuant):
    def start_from(self, x):
        self.step_size.data.fill_(1e-4)


class ConstantStart(WithQuant):
    quant = TinyScale


class Normalised(LSQQuant):
    def forward(self, x):
        return super().forward(x) / x.detach().abs().max()


class LosesTheScale(WithQuant):
    quant = Normalised


class KeepsItsOutput(LSQQuant):
    def forward(self, x):
        self.last = super().forward(x)
        return self.last


class CannotBeCopied(WithQuant):
    quant = KeepsItsOutput


class LateState(LSQQuant):
    def forward(self, x):
        if self.training and not hasattr(self, "late"):
            self.register_buffer("late", torch.zeros(()))
        return super().forward(x)


class CreatesStateInTraining(WithQuant):
    quant = LateState


class CountsInPython(NoiseQuant):
    def advance(self, weight, step):
        self.draws.now = step


class ForgetsItsCounter(UniformNoise):
    def weight_quantizer(self, weight, site):
        return CountsInPython(weight.detach().abs().mean(), self.seed, site.name)


class ReplacesParameters(LSQ):
    def prepare(self, model, example):
        plan = super().prepare(model, example)
        for site in plan.sites:
            layer = model.get_submodule(site.name)
            layer.weight = nn.Parameter(layer.weight.detach().clone())
        return plan


class Traced(nn.Module):
    forward = ToyNet.forward


class LosesTheClass(LSQ):
    def prepare(self, model, example):
        plan = super().prepare(model, example)
        model.__class__ = Traced
        return plan


class CountsForwards(LSQQuant):
    def __init__(self, bits, shape=(), signed=True):
        super().__init__(bits, shape, signed)
        self.register_buffer("forwards", torch.zeros(()))

    def forward(self, x):
        self.forwards += 1
        return super().forward(x)


class MutatesInEval(WithQuant):
    quant = CountsForwards


class LeavesEvalMode(LSQ):
    def calibrate(self, model, batches):
        super().calibrate(model, batches)
        model.eval()


class ExportsAnotherScale(LSQ):
    def export(self, model):
        out = super().export(model)
        return {n: replace(s, weight=replace(s.weight, scale=s.weight.scale * 1.001)) for n, s in out.items()}


class ExportsAnotherInputScale(LSQ):
    def export(self, model):
        out = super().export(model)
        return {n: replace(s, act=s.act and replace(s.act, scale=2 * s.act.scale)) for n, s in out.items()}


class OffsetQuant(FakeQuant):
    """LSQ+: a learned scale and a learned offset, which is no whole number of codes."""

    def __init__(self, bits):
        super().__init__()
        self.qmax = 2**bits - 1
        self.step = nn.Parameter(torch.ones(()))
        self.beta = nn.Parameter(torch.zeros(()))
        self.register_buffer("low", torch.tensor(0.0))
        self.register_buffer("high", torch.tensor(0.0))

    def restart(self):
        self.low.zero_()
        self.high.zero_()

    def forward(self, x):
        if self.calibrating:
            self.low.copy_(torch.minimum(self.low, x.min()))
            self.high.copy_(torch.maximum(self.high, x.max()))
            self.step.data = (self.high - self.low) / self.qmax
            self.beta.data = self.low.clone()
        share = 1 / math.sqrt(x[0].numel() * self.qmax)
        step, beta = (p * share + (p - p * share).detach() for p in (self.step, self.beta))
        v = ((x - beta) / step).clamp(0, self.qmax)
        return (v + (v.round() - v).detach()) * step + beta

    def qparams(self, x=None):
        step = self.step.detach()
        return QParams(step, -self.beta.detach() / step, 0, self.qmax)


class LearnsAnOffset(LSQ):
    name = "lsq_offset"
    reference = "Bhalgat et al., LSQ+, CVPRW 2020"
    meaning = "rounding with a learned scale, and a learned offset on inputs"

    def act_quantizer(self, site):
        return OffsetQuant(site.act_bits)


class CutsItsOffset(LearnsAnOffset):
    """As the export of version 0.3 did with every zero point."""

    def export(self, model):
        out = super().export(model)
        return {n: replace(s, act=s.act and replace(s.act, zero_point=int(s.act.zero_point))) for n, s in out.items()}


class IgnoresPlacement(LSQ):
    """As a class does that was written before outputs were quantized."""

    def __init__(self, spec=None, **options):
        super().__init__(replace(spec, placement="inputs"), **options)


class HoldsItsOutputs(LSQ):
    """Their scales are in the plan and in the optimizer, and never get a gradient."""

    def prepare(self, model, example):
        plan = super().prepare(model, example)
        for quant in output_quants(model).values():
            quant.forward = lambda x, act=quant: type(act).forward(copy.deepcopy(act), x)
        return plan


class ExportsOtherOutputs(LSQ):
    def outputs(self, model):
        out = super().outputs(model)
        return {n: replace(o, act=replace(o.act, scale=1.1 * o.act.scale)) for n, o in out.items()}


class AuditsNoOutput(LSQ):
    def audit(self, model):
        return replace(super().audit(model), outputs={})


class MoreBitsThanStated(LSQ):
    def weight_quantizer(self, weight, site):
        quant = LSQQuant(site.weight_bits + 2)
        quant.start_from(weight)
        quant.step_size.data /= 8
        return quant


class HidesASite(LSQ):
    def prepare(self, model, example):
        plan = super().prepare(model, example)
        self.plan = replace(plan, sites=plan.sites[:2])
        return self.plan

    def export(self, model):
        return {name: site for name, site in super().export(model).items() if name in {s.name for s in self.plan.sites}}


class TrainsInFloat(LSQ):
    def prepare(self, model, example):
        plan = super().prepare(model, example)
        for site in plan.sites:
            layer = model.get_submodule(site.name)
            layer.__class__ = type(
                layer.__class__.__name__, (layer.__class__,), {"forward": self.forward_of(type(layer))}
            )
        return plan

    @staticmethod
    def forward_of(kind):
        def forward(layer, x):
            own = kind.forward(layer, x)
            return layer._conv_forward(x, layer._parameters["weight"], layer.bias) if layer.training else own

        return forward


class AnotherName(LSQ):
    def audit(self, model):
        return Audit("pact", super().audit(model).sites)


class IgnoresRules(LSQ):
    def __init__(self, spec=None, **options):
        super().__init__(replace(spec, rules=(Rule("classifier", skip=True),)), **options)


class DrawsGlobally(LSQ):
    def prepare(self, model, example):
        torch.rand(1)
        return super().prepare(model, example)


class BreaksAverages(LSQ):
    @torch.no_grad()
    def after_average(self, model, batches):
        for name in self.plan.parameters:
            model.get_parameter(name).fill_(1e-4)
        return "average"


class ClaimsDoubleBackward(TorchAOLearnable):
    double_backward = True


class KeepsItsCodes(RoundToNearest):
    def on_step(self, model, step):
        pass


class RoundsInTraining(RoundToNearest):
    def weight_quantizer(self, weight, site):
        return self.base.weight_quantizer(weight, site)

    def on_step(self, model, step):
        pass

    def calibrate(self, model, batches):
        SiteQuantizer.calibrate(self, model, batches)

    def _weight(self, site):
        return SiteQuantizer._weight(self, site)

    def _audit_site(self, site):
        return SiteQuantizer._audit_site(self, site)


class KeepsItsGrid(RoundToNearest):
    def calibrate(self, model, batches):
        set_quantized(model, True)


class SaysItIsNot(RoundToNearest):
    post_training = False


class ExportsOneGroup(LSQ):
    def export(self, model):
        out = super().export(model)
        first = {n: s.weight.scale[:, 0] for n, s in out.items() if s.weight.group_size}
        return {
            n: replace(s, weight=replace(s.weight, scale=first[n], zero_point=first[n] * 0, group_size=None))
            if n in first
            else s
            for n, s in out.items()
        }


BROKEN = {
    "declaration": (SaysNothing, "meaning must be one line"),
    "supports": (RefusesSilently, "without a reason"),
    "optimizer_covers": (ForgetsItsGroup, "in 0 optimizer groups"),
    "learning_rates": (FullRate, "weight_decay"),
    "everything_trains": (ScaleNeverLearns, "got no gradient"),
    "edge_gradient": (LeavesTheMaskToClamp, "on an outermost code; mask the value before rounding"),
    "levels": (DeadLevels, "codes"),
    "accuracy": (ConstantStart, "after calibration"),
    "scale_contract": (LosesTheScale, "on the scale of w"),
    "deepcopy": (CannotBeCopied, "RuntimeError"),
    "strict_reload": (CreatesStateInTraining, "late"),
    "resume": (ForgetsItsCounter, "resumed run differs"),
    "identity": (ReplacesParameters, "another Parameter object"),
    "class_kept": (LosesTheClass, "the model is now a Traced"),
    "eval_is_pure": (MutatesInEval, "eval forward changed"),
    "calibration": (LeavesEvalMode, "training flag"),
    "export": (ExportsAnotherScale, "not the weight that the forward uses"),
    "dequantized_eval": (ExportsAnotherInputScale, "other logits"),
    "input_grid": (CutsItsOffset, "codes away; return from qparams what forward does"),
    "outputs": (ExportsOtherOutputs, "codes off the exported grid"),
    "groups": (ExportsOneGroup, "scales have shape (16,), not (16, 2)"),
    "codes_fit": (MoreBitsThanStated, "codes span"),
    "plan_is_true": (HidesASite, "the plan differs"),
    "sites_act": (TrainsInFloat, "training multiplies by its float weight"),
    "audit": (AnotherName, "'pact'"),
    "unmatched_rule": (IgnoresRules, "went unnoticed"),
    "global_rng": (DrawsGlobally, "global random generator"),
    "averaging": (BreaksAverages, "averaging"),
    "post_training": (KeepsItsCodes, "between training and calibrate the network must be float"),
    "double_backward": (ClaimsDoubleBackward, "declare double_backward = False"),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_check_fails_on_the_bug_it_is_for(check):
    broken, part = BROKEN[check.__name__.removeprefix("check_")]
    result = run_check(check, broken)
    assert result.status == "failed"
    assert part in result.message


@pytest.mark.parametrize(
    ("check", "broken", "part"),
    [
        (check_outputs, IgnoresPlacement, "supports accepts placement=full, but plan.outputs is empty"),
        (check_outputs, HoldsItsOutputs, "output_quant.step_size of a quantized output got no gradient"),
        (check_outputs, AuditsNoOutput, "Audit.outputs must hold exactly"),
        (check_edge_gradient, PassesWhatIsClipped, "have a gradient that is not stopped"),
        (check_edge_gradient, MasksInputsByTheirCode, "inputs inside the grid get no gradient"),
        (check_post_training, RoundsInTraining, "training differs from that of the float network"),
        (check_post_training, KeepsItsGrid, "is quantized otherwise than a float network with these weights"),
        (check_post_training, SaysItIsNot, "its family needs post_training = True"),
        (check_declaration, SaysTooMuch, "got 'rounding\\nand more'"),
        (check_declaration, Unheard, "one of baseline, control, method"),
        (check_declaration, OfNoFamily, "family must be one of"),
        (check_declaration, SpeaksForAnother, "own"),
    ],
)
def test_a_check_fails_on_further_bugs(check, broken, part):
    result = run_check(check, broken)
    assert result.status == "failed"
    assert part in result.message


def test_a_learned_offset_is_exported_exactly():
    assert [r for r in run_checks(LearnsAnOffset) if r.status == "failed"] == []


def test_the_input_grid_shows_an_offset_that_was_cut():
    failed = {r.name for r in run_checks(CutsItsOffset) if r.status == "failed"}
    assert "input_grid" in failed
