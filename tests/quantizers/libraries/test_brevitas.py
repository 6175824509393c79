"""The Brevitas adapter against Brevitas' own layers, and against values by hand."""

import sys

import pytest
import torch
from torch import nn

from quantdg.core.errors import MissingPackageError
from quantdg.quantizers.brevitas_adapter import BrevitasAbsMax, BrevitasDecoupled, BrevitasLearned
from quantdg.quantizers.spec import QuantSpec

pytest.importorskip("brevitas", reason="pip install 'quantdg[brevitas]'")

KINDS = [BrevitasAbsMax, BrevitasLearned, BrevitasDecoupled]
ROWS = [[0.7, -0.21, 0.12, -0.8], [0.05, 0.02, -0.14, 0.07]]


def shipped(kind, per_channel):
    from brevitas import quant  # noqa: PLC0415
    from brevitas.inject.enum import ScalingImplType  # noqa: PLC0415

    if kind is BrevitasDecoupled:
        return quant.Int8WeightPerChannelFloatDecoupled if per_channel else quant.Int4WeightPerTensorFloatDecoupled
    plain = quant.Int8WeightPerChannelFloat if per_channel else quant.Int8WeightPerTensorFloat
    if kind is BrevitasAbsMax:
        return plain
    return type("Learned", (plain,), {"scaling_impl_type": ScalingImplType.PARAMETER_FROM_STATS})


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_adapter_equals_the_layers_of_brevitas_bit_for_bit(same_as_direct, kind, granularity):
    from brevitas import nn as qnn  # noqa: PLC0415

    def layer_of_brevitas(layer):
        how = {"weight_quant": shipped(kind, granularity == "per_channel"), "weight_bit_width": 3}
        if isinstance(layer, nn.Conv2d):
            made = qnn.QuantConv2d(layer.in_channels, layer.out_channels, layer.kernel_size, **how)
        else:
            made = qnn.QuantLinear(layer.in_features, layer.out_features, bias=True, **how)
        made.weight.data, made.bias.data = layer.weight.data, layer.bias.data
        return made

    same_as_direct(kind, (3, None, granularity), layer_of_brevitas)


def prepared(kind, granularity="per_channel"):
    model = nn.Sequential(nn.Linear(4, 2))
    model[0].weight.data = torch.tensor(ROWS)
    quantizer = kind(QuantSpec(4, granularity=granularity, rules=()))
    return model, quantizer, quantizer.prepare(model, torch.ones(1, 4))


def test_the_gradient_goes_through_the_largest_weight():
    """v = w / s with s = .8 / 7: the maximum gets 1 + sum(round v - v) / v_max = 1 + (-.125 + .1625 - .05 + ...) / -7."""
    model, quantizer, plan = prepared(BrevitasAbsMax)
    assert plan.parameters == ()
    assert quantizer.export(model)["0"].weight.codes.tolist() == [[6, -2, 1, -7], [2, 1, -7, 4]]
    model[0].weight.sum().backward()
    rounding = (6 - 6.125) + (-2 + 1.8375) + (1 - 1.05)
    assert model[0]._parameters["weight"].grad[0].tolist() == pytest.approx([1, 1, 1, 1 + rounding / -7])


def test_a_learned_threshold_by_hand():
    """Thresholds .4 and .14: scale .4 / 7, codes beyond 7 are clipped without gradient, dt = -.0607143 + 0."""
    model, quantizer, plan = prepared(BrevitasLearned)
    threshold = model.get_parameter(plan.parameters[0])
    threshold.data = torch.tensor([[-0.4], [0.14]])  # the sign is the library's to take away
    weight = quantizer.export(model)["0"].weight
    assert weight.scale.tolist() == pytest.approx([0.4 / 7, 0.02])
    assert weight.dequantize()[0].tolist() == pytest.approx([0.4, -0.2285714, 0.1142857, -0.4])
    model[0].weight.sum().backward()
    assert model[0]._parameters["weight"].grad.tolist() == [[0, 1, 1, 0], [1, 1, 1, 1]]
    assert threshold.grad.flatten().tolist() == pytest.approx([0.0607143, 0], abs=1e-6)


def test_decoupled_rounds_by_one_scale_and_multiplies_by_another():
    model, quantizer, plan = prepared(BrevitasDecoupled)
    model.get_parameter(plan.parameters[0]).data = torch.tensor([[0.4], [0.14]])
    weight = quantizer.export(model)["0"].weight
    assert weight.codes.tolist() == [[6, -2, 1, -7], [2, 1, -7, 4]]
    assert weight.scale.tolist() == pytest.approx([0.4 / 7, 0.02])


def test_decoupled_per_tensor_starts_from_the_root_mean_square_of_the_channels_maxima():
    model, quantizer, _ = prepared(BrevitasDecoupled, "per_tensor")
    assert float(quantizer.export(model)["0"].weight.scale) == pytest.approx(((0.8**2 + 0.14**2) / 2) ** 0.5 / 7)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_refused_and_without_brevitas_the_pip_line_is_named(kind, monkeypatch):
    model = nn.Sequential(nn.Linear(4, 2))
    assert "weights only" in kind().supports(model, QuantSpec(4, 8, rules=())).reason
    for name in ("brevitas.nn", "brevitas.quant"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r"pip install 'quantdg\[brevitas\]'"):
        kind(QuantSpec(rules=())).prepare(model, torch.ones(1, 4))
