"""LSQ against numbers worked out by hand."""

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError
from quantdg.quantizers.fake_quant import SMALLEST_SCALE
from quantdg.quantizers.insertion import latent_parameter
from quantdg.quantizers.lsq import LSQ, LSQQuant, OffsetQuant
from quantdg.quantizers.spec import QuantSpec


def two_bits(scale=0.5, shape=()):
    quant = LSQQuant(2, shape)
    quant.step_size.data.fill_(scale)
    return quant


def test_forward_rounds_and_clips():
    w = torch.tensor([0.24, -0.9, 0.1, 2.0, -3.0])  # in units of the scale: 0.48, -1.8, 0.2, 4, -6; codes -2 .. 1
    assert two_bits()(w).tolist() == [0.0, -1.0, 0.0, 0.5, -1.0]


def test_weight_gradient_is_one_inside_the_clip_range_edges_included():
    w = torch.tensor(
        [0.24, -1.0, 0.5, 0.51, -1.01], requires_grad=True
    )  # in units of the scale: .48, -2, 1, 1.02, -2.02
    (two_bits()(w) * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])).sum().backward()
    assert w.grad.tolist() == [1.0, 2.0, 3.0, 0.0, 0.0]


def test_scale_gradient():
    quant = two_bits()
    w = torch.tensor([0.24, -0.9, 0.1, 2.0])
    (quant(w) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    # round(v) - v = -.48, -.2, -.2; clipped above: Qp = 1; times 1 / sqrt(4 values * Qp)
    expected = (1 * -0.48 + 2 * -0.2 + 3 * -0.2 + 4 * 1.0) / 2
    assert quant.step_size.grad.item() == pytest.approx(expected, rel=1e-6)


def test_scale_gradient_at_the_clip_edges():
    for value, expected in ((-1.0, 0.0), (-1.2, -2.0), (0.5, 0.0), (0.6, 1.0)):  # in units -2, -2.4, 1, 1.2
        quant = two_bits()
        quant(torch.tensor([value])).sum().backward()
        assert quant.step_size.grad.item() == pytest.approx(expected, abs=1e-6)


def test_gradient_scale_counts_the_values_that_share_a_scale():
    w = torch.tensor([[0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]])
    per_channel, per_tensor = two_bits(shape=(2, 1)), two_bits()
    per_channel(w).sum().backward()
    per_tensor(w).sum().backward()
    assert per_channel.step_size.grad.flatten().tolist() == pytest.approx([-0.2 * 4 / 4**0.5] * 2)
    assert per_tensor.step_size.grad.item() == pytest.approx(-0.2 * 8 / 8**0.5)


def test_gradient_scale_of_an_input_counts_its_features():
    quant = LSQQuant(2, signed=None)
    quant.restart()
    quant.start_from(torch.ones(1, 3))  # no negative value: Qp = 3
    quant.step_size.data.fill_(0.5)
    quant(torch.full((5, 3), 0.1)).sum().backward()
    assert quant.step_size.grad.item() == pytest.approx(-0.2 * 15 / (3 * 3) ** 0.5)


def test_start_is_twice_the_mean_magnitude_over_the_root_of_qp():
    layer = nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[1.0, -3.0], [1.0, 1.0]])
    LSQ(QuantSpec(4, rules=())).prepare(model := nn.Sequential(layer), torch.zeros(1, 2))
    assert model[0].weight_quant.step_size.flatten().tolist() == pytest.approx([4 / 7**0.5, 2 / 7**0.5])
    assert model[0].weight_quant.step_size.shape == (2, 1)


def test_inputs_without_negative_values_get_an_unsigned_grid_and_the_mean_of_the_batches():
    model = nn.Sequential(nn.Linear(2, 2))
    quantizer = LSQ(QuantSpec(4, 2, rules=()))
    quantizer.prepare(model, torch.ones(1, 2))
    quantizer.calibrate(model, [torch.full((1, 2), 1.0), torch.full((1, 2), 3.0)])
    quant = model[0].act_quant
    assert quant.codes == (0, 3)
    assert quant.step_size.item() == pytest.approx((2 + 6) / 2 / 3**0.5)
    quantizer.calibrate(model, [torch.full((1, 2), -2.0)])
    assert quant.codes == (-2, 1)
    assert quant.step_size.item() == pytest.approx(4.0)


def test_a_scale_cannot_pass_zero():
    model = nn.Sequential(nn.Linear(2, 2))
    quantizer = LSQ(QuantSpec(rules=()))
    quantizer.prepare(model, torch.ones(1, 2))
    model[0].weight_quant.step_size.data.fill_(-1.0)
    quantizer.on_step(model, 1)
    assert model[0].weight_quant.step_size.min().item() == pytest.approx(SMALLEST_SCALE)


def test_second_derivative_treats_the_rounding_as_linear():
    w = torch.tensor([0.24, 2.0], requires_grad=True)  # the second is clipped
    x = torch.tensor([3.0, 5.0], requires_grad=True)
    loss = 0.5 * (two_bits()(w) * x).sum() ** 2  # w_q = (0, .5): dL/dw = (2.5 * 3, 0)
    (grad,) = torch.autograd.grad(loss, w, create_graph=True)
    (second,) = torch.autograd.grad(grad.sum(), w)
    assert grad.tolist() == [7.5, 0.0]
    assert second.tolist() == [9.0, 0.0]  # d(dL/dw)/dw_q = x x^T


def test_averaged_scales_stay_or_start_anew():
    weight = torch.tensor([[1.0, -3.0]])
    for policy, expected in (("average", 0.5), ("recalibrate", 4 / 7**0.5)):
        model = nn.Sequential(nn.Linear(2, 1))
        quantizer = LSQ(QuantSpec(4, rules=()), averaged=policy)
        quantizer.prepare(model, torch.ones(1, 2))
        latent_parameter(model, "0.weight").data.copy_(weight)
        model[0].weight_quant.step_size.data.fill_(0.5)
        assert quantizer.after_average(model, [torch.ones(1, 2)]) == policy
        assert model[0].weight_quant.step_size.item() == pytest.approx(expected)


def test_the_start_of_lsq_plus_by_hand():
    w = torch.tensor([-0.2, -0.1, 0.1, 0.4])  # mean .05, unbiased deviation .2645751
    quant = LSQQuant(4, start="lsq_plus")
    quant.start_from(w)
    assert quant.step_size.item() == pytest.approx(0.1054657, abs=1e-6)
    rows = LSQQuant(4, (2, 1), start="lsq_plus")
    rows.start_from(torch.stack([w, -2 * w]))
    assert rows.step_size.flatten().tolist() == pytest.approx([0.1054657, 0.2109314], abs=1e-6)


def test_the_gradient_factor_of_the_whole_tensor_is_smaller_by_the_root_of_the_channels():
    w = torch.randn(16, 30, generator=torch.Generator().manual_seed(0))
    grads = []
    for gradient in ("scale", "tensor"):
        quant = LSQQuant(4, (16, 1), gradient=gradient)
        quant.start_from(w)
        quant(w).square().sum().backward()
        grads.append(quant.step_size.grad)
    assert torch.allclose(grads[0], 4 * grads[1])


def test_an_offset_by_hand():
    quant = OffsetQuant(2)
    quant.step_size.data.fill_(0.25)
    quant.offset.data.fill_(-0.1)
    x = torch.tensor([[-0.3, 0.2, 1.1]])  # (x - beta) / s = -.8, 1.2, 4.8; codes 0 to 3
    y = quant(x)
    assert y.flatten().tolist() == pytest.approx([-0.1, 0.15, 0.65])
    weights = torch.tensor([[1.0, 10.0, 100.0]])
    (y * weights).sum().backward()
    assert quant.offset.grad.item() == pytest.approx(101)  # 1 outside, 0 inside
    assert quant.step_size.grad.item() == pytest.approx((-0.2 * 10 + 3 * 100) / 9**0.5)  # times 1 / sqrt(3 * 3)
    assert quant.qparams().zero_point.item() == pytest.approx(0.4)


def test_an_offset_starts_at_the_smallest_input_and_is_exported_as_it_is():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4))
    quantizer = LSQ(QuantSpec(4, 4, rules=()), offset=True)
    quantizer.prepare(model, torch.randn(8, 6))
    quantizer.calibrate(model, [torch.randn(64, 6) - 0.37])
    act = quantizer.export(model)["0"].act
    quant = model[0].act_quant
    assert act.zero_point == pytest.approx((-quant.offset / quant.step_size).item())
    assert act.zero_point != round(act.zero_point)


@pytest.mark.parametrize("setting", [{"start": "lsq+"}, {"gradient": "channel"}])
def test_what_lsq_refuses(setting):
    with pytest.raises(ConfigError, match="of lsq must be one of"):
        LSQ(**setting)
