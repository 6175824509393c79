"""Matched noise: whatever is chosen really has the noise asked for, and what cannot is refused with its nearest."""

import math

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError, QuantizerError
from quantdg.quantizers.apot import APoT
from quantdg.quantizers.contract import grid as checks_grid
from quantdg.quantizers.contract import state as checks_state
from quantdg.quantizers.contract import training as checks_training
from quantdg.quantizers.contract.toy_net import calibration, float_net
from quantdg.quantizers.dorefa import DoReFa
from quantdg.quantizers.float_ import Float
from quantdg.quantizers.freeze import Freeze
from quantdg.quantizers.insertion import latent_parameter
from quantdg.quantizers.lsq import LSQ, initial_scale
from quantdg.quantizers.nni_lsq import NNILSQ
from quantdg.quantizers.nni_qat import NNIQAT
from quantdg.quantizers.noise_matching import UnmatchedError, inserted_noise, match_noise
from quantdg.quantizers.pact import PACT, SAWBQuant
from quantdg.quantizers.round_freeze import RoundFreeze
from quantdg.quantizers.spec import QuantSpec, Rule
from quantdg.quantizers.torch_ao import TorchAO
from quantdg.quantizers.torch_ao_learnable import TorchAOLearnable
from quantdg.quantizers.uniform_noise import UniformNoise

SCALABLE = [LSQ, PACT, APoT, DoReFa, RoundFreeze, UniformNoise, TorchAO, TorchAOLearnable]
INPUT = [torch.ones(1, 1152)]


def gaussian():
    layer = nn.Linear(1152, 64)
    layer.weight.data = 0.02 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(0))
    return nn.Sequential(layer)


def spec_of(kind):
    return QuantSpec(7, 8 if kind is PACT else None, rules=())


def make_of(kind, **options):
    return lambda spec, factor: kind(spec, scale_factor=factor, **options)


@pytest.mark.parametrize("kind", SCALABLE)
@pytest.mark.parametrize("target", [0.058, 0.02, 0.3])
def test_what_is_chosen_has_the_noise(kind, target):
    if kind is APoT and target < 0.03:
        with pytest.raises(UnmatchedError, match="rounding and clipping together are never that small"):
            match_noise(gaussian(), make_of(kind), spec_of(kind), INPUT, target=target)
        return
    found = match_noise(gaussian(), make_of(kind), spec_of(kind), INPUT, target=target)
    model = gaussian()
    quantizer = kind(found.spec, scale_factor=found.scale_factor)
    quantizer.prepare(model, INPUT[0])
    quantizer.calibrate(model, INPUT)
    measured = quantizer.audit(model).sites["0"].noise_to_signal
    assert measured == pytest.approx(target, rel=0.05)
    assert found.noise == measured


def test_bits_alone_where_they_suffice():
    found = match_noise(gaussian(), make_of(LSQ), spec_of(LSQ), INPUT, target=0.058)
    assert (found.spec.weight_bits, found.scale_factor, len(found.tried)) == (7, 1.0, 7)
    # the table of initial noise: 2, 3, ... 8 bits
    noises = [noise for _, _, noise in found.tried]
    assert noises == pytest.approx([0.470, 0.266, 0.174, 0.119, 0.083, 0.058, 0.041], rel=0.03)


def test_min_max_needs_a_coarser_scale_than_its_bits_give():
    found = match_noise(gaussian(), make_of(TorchAO), spec_of(TorchAO), INPUT, target=0.058)
    assert found.spec.weight_bits == 6  # .035 at 6 bits, .072 at 5
    assert found.scale_factor == pytest.approx(0.058 / 0.0325, rel=0.05)


def test_nni_matches_by_bits_or_not_at_all():
    found = match_noise(gaussian(), lambda s, _: NNIQAT(s), spec_of(NNIQAT), INPUT, target=0.0161)
    assert (found.spec.weight_bits, found.scale_factor) == (7, 1.0)
    with pytest.raises(UnmatchedError, match=r"nni_qat must reach noise 0.058, its nearest is 0.06\d+ at W5.*NNI sets"):
        match_noise(gaussian(), make_of(NNIQAT), spec_of(NNIQAT), INPUT, target=0.058)
    paper = match_noise(gaussian(), make_of(NNILSQ, init="paper"), spec_of(NNILSQ), INPUT, target=0.02)
    assert paper.noise == pytest.approx(0.02, rel=0.05)


def test_a_clip_that_is_too_tight_is_widened():
    flat = gaussian()
    flat[0].weight.data = torch.rand(64, 1152, generator=torch.Generator().manual_seed(1)) - 0.5
    assert inserted_noise(flat, PACT(QuantSpec(8, 8, rules=())), INPUT) > 0.03  # SAWB cuts a flat density at .8 of it
    found = match_noise(flat, make_of(PACT), spec_of(PACT), INPUT, target=0.01)
    assert found.noise == pytest.approx(0.01, rel=0.05)
    assert found.scale_factor > 1


def test_too_little_noise_is_refused_with_the_nearest():
    with pytest.raises(
        UnmatchedError, match=r"lsq must reach noise 0.005, its nearest is 0.01\d+ at W8: rounding and clipping"
    ):
        match_noise(gaussian(), make_of(LSQ), spec_of(LSQ), INPUT, target=0.005)


@pytest.mark.parametrize("kind", [Float, Freeze])
def test_methods_without_noise_are_refused(kind):
    with pytest.raises(UnmatchedError, match=f"{kind.name} has no weight noise"):
        match_noise(gaussian(), lambda s, _: kind(s), spec_of(kind), INPUT, target=0.058)


@pytest.mark.parametrize("target", [0, 1, -0.1, math.nan])
def test_a_target_that_no_rounding_has_is_refused(target):
    with pytest.raises(QuantizerError, match="between 0 and 1"):
        match_noise(gaussian(), make_of(LSQ), spec_of(LSQ), INPUT, target=target)


def test_the_float_model_is_left_alone():
    net = float_net()
    before = {n: t.clone() for n, t in net.state_dict().items()}
    classes, modes = [type(m) for m in net.modules()], [m.training for m in net.modules()]
    noise = inserted_noise(net, LSQ(), calibration())
    found = match_noise(net, make_of(RoundFreeze), QuantSpec(), calibration(), target=noise)
    assert found.noise == pytest.approx(noise, rel=0.05)
    assert [type(m) for m in net.modules()] == classes
    assert [m.training for m in net.modules()] == modes
    assert all(p.requires_grad for p in net.parameters())
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())


def test_layers_with_bits_of_their_own_keep_them():
    rules = (Rule("classifier*", skip=True), Rule("featurizer.0", weight_bits=8))
    found = match_noise(float_net(), make_of(TorchAO), QuantSpec(7, rules=rules), calibration(), target=0.1)
    quantizer = TorchAO(found.spec, scale_factor=found.scale_factor)
    quantizer.prepare(float_net(), calibration()[0])
    bits = {site.name: site.weight_bits for site in quantizer.plan.sites}
    assert bits["featurizer.0"] == 8
    assert bits["featurizer.3"] == found.spec.weight_bits < 8


def scale_of(kind, factor, bits=4):
    quantizer = kind(QuantSpec(bits, 8 if kind is PACT else None, rules=()), scale_factor=factor)
    model = gaussian()
    quantizer.prepare(model, INPUT[0])
    quantizer.calibrate(model, INPUT)
    quant = model[0].weight_quant
    return (
        (quant.scale if kind is UniformNoise else quant.qparams(latent_parameter(model, "0.weight")).scale)
        .detach()
        .flatten()
    )


@pytest.mark.parametrize("kind", SCALABLE)
def test_a_factor_multiplies_the_scale_and_nothing_else(kind):
    assert torch.allclose(scale_of(kind, 1.7), 1.7 * scale_of(kind, 1.0), rtol=1e-5, atol=0)


def test_multiplied_scales_are_those_of_the_formulas():
    weight = gaussian()[0].weight.detach()
    assert torch.allclose(scale_of(LSQ, 0.5), 0.5 * initial_scale(weight, True, 7).flatten())
    assert torch.allclose(scale_of(TorchAO, 0.5), 0.5 * weight.abs().amax(1) / 7.5)
    quant = SAWBQuant(4, per_channel=False, scale_factor=2.0)
    clip = 12.035 * weight.square().mean().sqrt() - 12.03 * weight.abs().mean()
    assert float(quant.clip(weight)) == pytest.approx(2 * float(clip), rel=1e-5)


@pytest.mark.parametrize("factor", [0, -1, math.inf, math.nan])
def test_a_factor_that_is_none_is_refused(factor):
    with pytest.raises(ConfigError, match="scale_factor must be above 0"):
        LSQ(scale_factor=factor)


@pytest.mark.parametrize("kind", [NNIQAT, NNILSQ])
def test_where_nni_sets_the_scale_a_factor_is_refused(kind):
    with pytest.raises(ConfigError, match=r"NNI sets it.*write scale_factor=1"):
        kind(scale_factor=2.0)
    assert kind(scale_factor=1.0).scale_factor == 1


@pytest.mark.parametrize("kind", [LSQ, PACT, TorchAO, TorchAOLearnable])
@pytest.mark.parametrize(
    "check",
    [
        checks_state.check_deepcopy,
        checks_state.check_strict_reload,
        checks_state.check_resume,
        checks_state.check_calibration,
        checks_grid.check_export,
        checks_grid.check_codes_fit,
        checks_training.check_averaging,
    ],
)
def test_a_scaled_quantizer_keeps_the_contract(kind, check):
    assert check(lambda spec: kind(spec, scale_factor=1.3)) is None
