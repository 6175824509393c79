"""The shared machinery: swap, calibration, origin of the audit, code books."""

import io

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError, QuantizerError
from quantdg.quantizers.class_swap import quantized_once
from quantdg.quantizers.export import QTensor
from quantdg.quantizers.fake_quant import QParams, to_qtensor
from quantdg.quantizers.insertion import latent_parameter
from quantdg.quantizers.layers import quantizable_layers
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec, Rule
from quantdg.quantizers.torch_ao import TorchAO

X = torch.tensor([[1.0, 2.0]])


def prepared(make=LSQ, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    quantizer = make(QuantSpec(rules=()), **options)
    quantizer.prepare(model, X)
    quantizer.calibrate(model, [X])
    return model, quantizer


def test_movement_is_measured_from_the_branch_point_through_later_calibrations():
    model, quantizer = prepared(averaged="recalibrate")
    latent = latent_parameter(model, "0.weight")
    start = latent.detach().clone()
    latent.data.add_(1.0)
    expected = pytest.approx(float(2 / start.norm()))
    assert quantizer.audit(model).sites["0"].weight_moved == expected
    quantizer.after_average(model, [X])
    quantizer.calibrate(model, [X])
    assert quantizer.audit(model).sites["0"].weight_moved == expected


def test_the_first_calibration_sets_the_origin():
    model = nn.Sequential(nn.Linear(2, 2))
    quantizer = LSQ(QuantSpec(7, 8, rules=()))
    quantizer.prepare(model, X)
    quantizer.calibrate(model, [10 * X])
    assert quantizer.audit(model).sites["0"].scale_moved == 0.0


def test_zero_points_that_start_at_zero_move_by_a_finite_amount():
    from quantdg.quantizers.torch_ao_learnable import TorchAOLearnable  # noqa: PLC0415

    model = nn.Sequential(nn.Linear(2, 2))
    quantizer = TorchAOLearnable(QuantSpec(7, 8, rules=()))
    quantizer.prepare(model, X)
    model[0].act_quant.fake.zero_point.data.fill_(0.5)
    assert quantizer.audit(model).sites["0"].scale_moved == 0.5


def test_a_model_is_prepared_once():
    model, _ = prepared()
    with pytest.raises(QuantizerError, match="'0' is already quantized; start from float"):
        LSQ(QuantSpec(rules=())).prepare(model, X)


def test_calibration_without_a_batch_is_an_error():
    model, quantizer = prepared()
    with pytest.raises(QuantizerError, match="at least one batch"):
        quantizer.calibrate(model, [])


def test_within_an_evaluation_each_weight_is_quantized_once():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    quantizer = LSQ(QuantSpec(weight_bits=4, act_bits=4, rules=(Rule("*"),)))
    x = torch.randn(5, 4)
    quantizer.prepare(model, x)
    quantizer.calibrate(model, [x])
    model.eval()
    calls = []
    for name, module in model.named_modules():
        if name.endswith("weight_quant"):
            module.register_forward_hook(lambda *_, name=name: calls.append(name))
    with torch.no_grad():
        alone = [model(x), model(2 * x)]
        assert len(calls) == 4
        calls.clear()
        with quantized_once(model):
            together = [model(x), model(2 * x)]
        assert calls == ["0.weight_quant", "2.weight_quant"]
        assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
        latent_parameter(model[0], "weight").mul_(3)
        assert not torch.equal(model(x), alone[0])


def test_the_weights_of_attention_are_sites():
    model = nn.Sequential(nn.MultiheadAttention(4, 1), nn.MultiheadAttention(4, 1, kdim=2, vdim=3), nn.Linear(4, 2))
    names, skipped = quantizable_layers(model)
    own = ["1.q_proj_weight", "1.k_proj_weight", "1.v_proj_weight"]
    assert [*names] == ["0.in_proj_weight", "0.out_proj", *own, "1.out_proj", "2"]
    assert skipped == []


def test_a_subclass_of_a_layer_keeps_its_own_forward():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    model = nn.Sequential(Doubled(2, 2, bias=False))
    model[0].weight.data.copy_(torch.eye(2))
    quantizer = TorchAO(QuantSpec(8, rules=()))
    quantizer.prepare(model, X)
    weight = quantizer.export(model)["0"].weight.dequantize()
    assert torch.equal(model.eval()(X), 2 * X @ weight.T)


def test_a_prepared_model_can_be_pickled():
    model, _ = prepared()
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    assert torch.equal(torch.load(stream, weights_only=False)(X), model(X))


def test_rules_reach_the_sites():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    quantizer = LSQ(QuantSpec(7, rules=(Rule("1", weight_bits=4, granularity="per_tensor"),)))
    plan = quantizer.prepare(model, X)
    assert [(s.name, s.weight_bits, s.granularity) for s in plan.sites] == [
        ("0", 7, "per_channel"),
        ("1", 4, "per_tensor"),
    ]
    assert quantizer.export(model)["1"].weight.axis is None


@pytest.mark.parametrize(
    "options, part", [({"averaged": "median"}, "average, recalibrate"), ({"lr_ratio": 0}, "above 0")]
)
def test_wrong_options_are_refused(options, part):
    with pytest.raises(ConfigError, match=part):
        LSQ(QuantSpec(), **options)


def test_a_code_book_round_trips():
    levels = torch.tensor([-1.0, -0.25, 0.0, 0.5])
    scale = torch.tensor([2.0, 4.0])
    codes = torch.tensor([[0, 3, 1], [2, 2, 3]])
    weight = QTensor(codes, scale, torch.zeros(2), 2, axis=0, levels=levels).dequantize()
    assert weight.tolist() == [[-2.0, 1.0, -0.5], [0.0, 0.0, 2.0]]
    back = to_qtensor(weight, QParams(scale, torch.zeros(2), 0, 3, axis=0, levels=levels), 2)
    assert torch.equal(back.codes.long(), codes)
    assert torch.equal(back.dequantize(), weight)


def test_an_affine_tensor_dequantizes_with_its_zero_point():
    q = QTensor(torch.tensor([3, -5]), torch.tensor(0.5), torch.tensor(-4.0), 4)
    assert q.dequantize().tolist() == [3.5, -0.5]
