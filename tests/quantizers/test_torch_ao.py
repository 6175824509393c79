"""torch.ao against its formulas, and against our own rounding."""

import pytest
import torch
from torch import nn

from quantdg.quantizers.fake_quant import frozen_ranges
from quantdg.quantizers.lsq import LSQQuant
from quantdg.quantizers.spec import QuantSpec
from quantdg.quantizers.torch_ao import TorchAO
from quantdg.quantizers.torch_ao_learnable import TorchAOLearnable

WEIGHT = torch.tensor([[-1.0, 3.0], [0.5, 2.0]])


def prepared(make, weight_bits=4, act_bits=None, granularity="per_tensor", symmetric=True):
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.data.copy_(WEIGHT)
    quantizer = make(QuantSpec(weight_bits, act_bits, granularity, symmetric, rules=()))
    quantizer.prepare(model, torch.tensor([[-1.0, 3.0]]))
    return model, quantizer


@pytest.mark.parametrize("make", [TorchAO, TorchAOLearnable])
@pytest.mark.parametrize(
    "granularity, symmetric, scale, zero",
    [
        ("per_tensor", True, 3 / 7.5, 0),
        ("per_channel", True, [3 / 7.5, 2 / 7.5], [0, 0]),
        ("per_tensor", False, 4 / 15, -4),  # -8 - round(-1 / (4/15)) = -8 + 4
        ("per_channel", False, [4 / 15, 2 / 15], [-4, -8]),  # 0 is always inside: the second row is 0 .. 2
    ],
)
def test_scale_and_zero_point_of_a_weight(make, granularity, symmetric, scale, zero):
    _, quantizer = model_and = prepared(make, granularity=granularity, symmetric=symmetric)
    weight = quantizer.export(model_and[0])["0"].weight
    assert weight.scale.tolist() == pytest.approx(scale)
    assert weight.zero_point.tolist() == pytest.approx(zero)
    assert weight.axis == (0 if granularity == "per_channel" else None)


@pytest.mark.parametrize("make", [TorchAO, TorchAOLearnable])
def test_an_input_is_affine_and_unsigned(make):
    model, quantizer = prepared(make, act_bits=8)
    act = quantizer.export(model)["0"].act
    assert (act.qmin, act.qmax, act.zero_point) == (0, 255, 64)  # round(1 / (4/255)) = round(63.75)
    assert act.scale == pytest.approx(4 / 255)


def test_the_range_is_a_moving_average_in_training_only():
    model, quantizer = prepared(TorchAO, act_bits=8)
    wide = torch.tensor([[-1.0, 13.0]])
    model.eval()(wide)
    assert quantizer.export(model)["0"].act.scale == pytest.approx(4 / 255)
    model.train()
    with frozen_ranges(model):
        model(wide)
    assert quantizer.export(model)["0"].act.scale == pytest.approx(4 / 255)
    model(wide)
    assert quantizer.export(model)["0"].act.scale == pytest.approx((3 + 0.01 * 10 + 1) / 255)


@pytest.mark.parametrize("make, policy", [(TorchAO, "recalibrate"), (TorchAOLearnable, "average")])
def test_after_averaging_only_observed_ranges_start_anew(make, policy):
    model, quantizer = prepared(make, act_bits=8)
    assert quantizer.after_average(model, [torch.tensor([[0.0, 8.0]])]) == policy
    expected = 8 / 255 if policy == "recalibrate" else 4 / 255
    assert quantizer.export(model)["0"].act.scale == pytest.approx(expected)


def test_a_symmetric_zero_point_is_no_parameter():
    assert set(prepared(TorchAOLearnable)[1].plan.parameters) == {"0.weight_quant.fake.scale"}
    affine = prepared(TorchAOLearnable, symmetric=False)[1].plan.parameters
    assert set(affine) == {"0.weight_quant.fake.scale", "0.weight_quant.fake.zero_point"}


def both_ways(values):
    """Value, weight gradient and scale gradient of ours and torch's operator at scale 1/4 (exact in binary), 2 bits."""
    ours = LSQQuant(2)
    ours.step_size.data.fill_(0.25)
    results = []
    scale, factor = torch.tensor([0.25], requires_grad=True), 1 / len(values) ** 0.5
    theirs = torch._fake_quantize_learnable_per_tensor_affine
    for trained, op in ((ours.step_size, ours), (scale, lambda x: theirs(x, scale, torch.zeros(1), -2, 1, factor))):
        x = torch.tensor(values, requires_grad=True)
        y = op(x)
        y.sum().backward()
        results.append((y.tolist(), x.grad.tolist(), trained.grad.item()))
    return results


def test_our_rounding_equals_torchs_operator_inside_the_range():
    ours, theirs = both_ways([0.1, -0.3, 0.2, -0.45])
    assert ours[:2] == theirs[:2]
    assert ours[2] == pytest.approx(theirs[2], rel=1e-6)


def test_our_rounding_differs_from_torchs_operator_within_half_a_scale_beyond_the_range():
    ours, theirs = both_ways([0.325])  # 1.3 scales, clipped to 1
    assert ours[0] == theirs[0] == [0.25]
    assert (ours[1], theirs[1]) == ([0.0], [1.0])  # the paper clips before rounding, torch rounds first
    assert ours[2] == pytest.approx(1.0)
    assert theirs[2] == pytest.approx(-0.3, rel=1e-5)
