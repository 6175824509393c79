"""PACT and SAWB against numbers worked out by hand."""

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError, QuantizerError
from quantdg.quantizers.pact import COEFFICIENTS, PACT, PACTQuant, SAWBQuant
from quantdg.quantizers.spec import QuantSpec, Rule


def pact(alpha, bits=2, signed=False):
    quant = PACTQuant(bits)
    quant.alpha.data.fill_(alpha)
    quant.signed.fill_(signed)
    quant._set_range()
    return quant


def test_values_and_gradients_of_an_unsigned_input():
    quant, x = pact(2.0), torch.tensor([-1.0, 0.0, 0.3, 1.2, 2.0, 5.0], requires_grad=True)
    y = quant(x)  # s = 2/3: codes 0, 0, 0, 2, 3, 3
    assert y.tolist() == pytest.approx([0, 0, 0, 4 / 3, 2, 2])
    (y * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 4.0, 0.0, 0.0]
    assert quant.alpha.grad.item() == 11.0


def test_values_and_gradients_of_a_signed_input():
    quant, x = pact(2.0, bits=3, signed=True), torch.tensor([-5.0, -0.4, 1.1, 3.0], requires_grad=True)
    y = quant(x)  # s = 2/3: codes -3, -1, 2, 3
    assert y.tolist() == pytest.approx([-2, -2 / 3, 4 / 3, 2])
    (y * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 2.0, 3.0, 0.0]
    assert quant.alpha.grad.item() == 3.0


def prepared(**options):
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    quantizer = PACT(QuantSpec(4, 8, rules=()), **options)
    quantizer.prepare(model, torch.ones(1, 2))
    return model, quantizer


def test_penalty_is_decay_times_the_squared_clips():
    model, quantizer = prepared(decay=0.1)
    model[0].act_quant.alpha.data.fill_(2.0)
    model[2].act_quant.alpha.data.fill_(3.0)
    penalty = quantizer.penalty(model)
    assert penalty.item() == pytest.approx(1.3)
    penalty.backward()
    assert model[2].act_quant.alpha.grad.item() == pytest.approx(0.6)


def test_the_clip_starts_at_the_mean_of_the_batches_largest_values():
    model, quantizer = prepared()
    quantizer.calibrate(model, [torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 6.0]])])
    assert model[0].act_quant.alpha.item() == pytest.approx(4.0)


def test_sawb_clip_and_grid():
    w = torch.tensor([1.0, -1.0, 3.0, -3.0], requires_grad=True)
    quant = SAWBQuant(4, per_channel=False)
    alpha = 12.035 * 5**0.5 - 12.03 * 2
    assert quant.clip(w).item() == pytest.approx(alpha, rel=1e-5)  # 2.851: scale .4073, codes 2, -2, 7, -7
    y = quant(w)
    assert y.tolist() == pytest.approx([2 * alpha / 7, -2 * alpha / 7, alpha, -alpha], rel=1e-5)
    y.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_sawb_passes_the_gradient_of_a_weight_on_the_clip_and_pact_stops_it():
    w = torch.tensor([0.5, -0.5], requires_grad=True)  # the fit is negative: the clip is the largest weight
    SAWBQuant(7, per_channel=False)(w).sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]
    quant = PACTQuant(8)
    quant.alpha.data.fill_(2.0)
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    quant(x).sum().backward()
    assert (x.grad.tolist(), quant.alpha.grad.item()) == ([1.0, 0.0], 1.0)


def test_sawb_per_channel_has_a_clip_for_each_row():
    w = torch.tensor([[1.0, 3.0], [2.0, 6.0]])
    clip = SAWBQuant(4, per_channel=True).clip(w).flatten()
    assert clip[1].item() == pytest.approx(2 * clip[0].item(), rel=1e-5)


def test_sawb_falls_back_to_the_largest_weight_where_the_fit_is_negative():
    assert SAWBQuant(7, per_channel=False).clip(torch.tensor([0.5, -0.5])).item() == pytest.approx(0.5)


def flat_channels(count):
    return 2 * torch.rand(5000, count, generator=torch.Generator().manual_seed(0)) - 1


def test_sawb_says_on_how_many_channels_its_fit_fails():
    quant, w = SAWBQuant(7, per_channel=True), flat_channels(27)
    assert quant.unfit(w) == pytest.approx(0.24, abs=0.02)
    assert SAWBQuant(7, per_channel=False).unfit(w) == 0
    assert SAWBQuant(2, per_channel=True).unfit(w) is None  # clips most of the range by design
    model, quantizer = prepared()
    assert [site.unfit for site in quantizer.audit(model).sites.values()] == [None, None]


def test_the_guard_takes_the_largest_weight_there_and_changes_nothing_elsewhere():
    w = flat_channels(27)
    plain, guarded = (SAWBQuant(7, per_channel=True, guard=g).clip(w) for g in (False, True))
    largest = w.abs().amax(1, keepdim=True)
    unfit = SAWBQuant(7, per_channel=True)._fit(w)[0] < largest / 2
    assert torch.equal(guarded[~unfit], plain[~unfit])
    assert torch.equal(guarded[unfit], largest[unfit])
    noise = [(SAWBQuant(7, True, guard=g)(w) - w)[unfit.flatten()].std() / w.std() for g in (False, True)]
    assert noise[0] > 0.5
    assert noise[1] < 0.01
    coarse = [SAWBQuant(2, True, guard=g).clip(w) for g in (False, True)]
    assert torch.equal(*coarse)


@pytest.mark.parametrize("bits", sorted(COEFFICIENTS))
def test_sawb_has_zero_and_an_odd_number_of_levels(bits):
    values = SAWBQuant(bits, per_channel=False)(torch.linspace(-1, 1, 100_001)).unique()
    assert len(values) == 2**bits - 1
    assert 0.0 in values.tolist()


@pytest.mark.parametrize(
    "spec, reason",
    [
        (QuantSpec(6, 8, rules=()), "2, 4, 7 and 8 bits, got weight_bits=6"),
        (QuantSpec(7, rules=()), "act_bits=None; write for example act_bits=8"),
        (QuantSpec(7, 8, rules=(Rule("0", weight_bits=3),)), "0: SAWB"),
        (QuantSpec(7, 8, symmetric=False, rules=()), "write symmetric=True"),
    ],
)
def test_what_pact_cannot_do_is_refused_with_the_reason(spec, reason):
    model = nn.Sequential(nn.Linear(2, 2))
    support = PACT(spec).supports(model, spec)
    assert not support.ok
    assert reason in support.reason
    with pytest.raises(QuantizerError):
        PACT(spec).prepare(model, torch.ones(1, 2))


def test_a_negative_decay_is_an_error():
    with pytest.raises(ConfigError, match="got -1"):
        PACT(QuantSpec(7, 8), decay=-1)
