"""The NNI adapter against NNI used directly, and NNI's numbers against its formulas."""

import sys

import pytest
import torch
from torch import nn

from quantdg.core.errors import ConfigError, MissingPackageError
from quantdg.quantizers.fake_quant import fake_quants
from quantdg.quantizers.insertion import latent_parameter
from quantdg.quantizers.nni_bnn import NNIBNN
from quantdg.quantizers.nni_dorefa import NNIDoReFa
from quantdg.quantizers.nni_lsq import NNILSQ
from quantdg.quantizers.nni_lsq_plus import NNILSQPlus
from quantdg.quantizers.nni_qat import NNIQAT
from quantdg.quantizers.spec import QuantSpec

pytest.importorskip("nni")


def net():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def batch(seed):
    return torch.randn(4, 3, 10, 10, generator=torch.Generator().manual_seed(seed))


def direct(name, act):
    """The net under NNI itself, as its documentation wraps it; our own loop trains it."""
    from nni.compression import quantization  # noqa: PLC0415

    weight = {"quant_dtype": "int4", "quant_scheme": "symmetric", "granularity": "out_channel"}
    model = net()
    settings = {"weight": weight, "_input_": {**act, "granularity": "default"}}
    config = weight | {
        "op_types": ["Conv2d", "Linear"],
        "target_names": ["_input_", "weight"],
        "target_settings": settings,
    }
    quantizer = getattr(quantization, name)(model, [config], None)
    quantizer.track_forward(batch(0))
    return model, quantizer


BATCHES, RATE = [batch(step) for step in range(1, 5)], 0.05


@pytest.mark.parametrize(
    "make, name, act",
    [
        (NNIQAT, "QATQuantizer", {"quant_dtype": "uint8", "quant_scheme": "affine"}),
        (NNILSQ, "LsqQuantizer", {"quant_dtype": "int8", "quant_scheme": "symmetric"}),
    ],
)
def test_the_adapter_equals_nni_used_directly_bit_for_bit(make, name, act, train):
    theirs, backend = direct(name, act)
    ours, quantizer = net(), make(QuantSpec(4, 8, rules=()))
    quantizer.prepare(ours, batch(0))

    def as_the_patched_optimizer(step):
        backend.is_init = True

    expected = train(theirs, BATCHES, rate=RATE, after_step=as_the_patched_optimizer)
    got = train(ours, BATCHES, rate=RATE, after_step=lambda step: quantizer.on_step(ours, step))
    for a, b in zip(got, expected, strict=True):
        assert torch.equal(a, b)
    for layer in ("0", "2", "5"):
        wrapped = theirs.get_submodule(layer)._nni_wrapper.weight
        assert torch.equal(latent_parameter(ours, f"{layer}.weight"), wrapped)
    assert torch.equal(ours.eval()(batch(9)), theirs.eval()(batch(9)))


@pytest.mark.parametrize(
    "make, name, spec, dtypes",
    [
        (NNIDoReFa, "DoReFaQuantizer", QuantSpec(4, None, "per_tensor", rules=()), ("uint4", None)),
        (NNIBNN, "BNNQuantizer", QuantSpec(2, None, "per_tensor", rules=()), (None, None)),
        (NNILSQPlus, "LsqPlusQuantizer", QuantSpec(4, 8, "per_tensor", symmetric=False, rules=()), ("int4", "int8")),
    ],
)
def test_the_adapters_of_one_grid_equal_nni_used_directly_bit_for_bit(make, name, spec, dtypes, train):
    from nni.compression import quantization  # noqa: PLC0415

    affine = {} if make is NNIBNN else {"quant_scheme": "affine", "granularity": "default"}
    settings = {"weight": {"quant_dtype": dtypes[0], **affine}}
    if dtypes[1]:
        settings["_input_"] = {"quant_dtype": dtypes[1], **affine}
    config = settings["weight"] | {"op_types": ["Conv2d", "Linear"]}
    config |= {"target_names": list(settings), "target_settings": settings}
    theirs = net()
    backend = getattr(quantization, name)(theirs, [config], None)
    backend.track_forward(batch(0))
    ours, quantizer = net(), make(spec)
    quantizer.prepare(ours, batch(0))

    def as_the_patched_optimizer(step):
        backend.is_init = True
        for layer in ("0", "2", "5"):
            if make is NNIBNN:
                theirs.get_submodule(layer)._nni_wrapper.weight.data.clamp_(-1, 1)

    expected = train(theirs, BATCHES, rate=RATE, after_step=as_the_patched_optimizer)
    for a, b in zip(
        train(ours, BATCHES, rate=RATE, after_step=lambda step: quantizer.on_step(ours, step)), expected, strict=True
    ):
        assert torch.equal(a, b)
    for layer in ("0", "2", "5"):
        wrapped = theirs.get_submodule(layer)._nni_wrapper.weight
        assert torch.equal(latent_parameter(ours, f"{layer}.weight"), wrapped)
    assert torch.equal(ours.eval()(batch(9)), theirs.eval()(batch(9)))


def test_no_second_copy_of_a_weight_enters_the_state_dict():
    model, quantizer = net(), NNIQAT(QuantSpec(7, rules=()))
    floats = set(model.state_dict())
    quantizer.prepare(model, batch(0))
    added = set(model.state_dict()) - floats
    assert {key.rsplit(".", 1)[1] for key in added} == {
        f"weight_{what}" for what in ("scale", "zero_point", "tracked_min", "tracked_max")
    }


def linear(make, weight, weight_bits=7, act_bits=None, **options):
    model = nn.Sequential(nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([weight])
    quantizer = make(QuantSpec(weight_bits, act_bits, rules=()), **options)
    quantizer.prepare(model, torch.tensor([[-1.0, 3.0]]))
    return model, quantizer


def test_qat_scale_range_and_moving_average():
    model, quantizer = linear(NNIQAT, [1.0, -3.0], act_bits=8)
    site = quantizer.export(model)["0"]
    assert site.weight.scale.tolist() == pytest.approx([3 / 63])
    assert site.weight.codes.tolist() == [[21, -63]]
    assert (model[0].weight_quant.get("qmin"), model[0].weight_quant.get("qmax")) == (-63, 63)
    assert (site.act.scale, site.act.zero_point, site.act.qmax) == (pytest.approx(4 / 255), 64, 255)
    model.train()(torch.tensor([[-1.0, 13.0]]))
    assert quantizer.export(model)["0"].act.scale == pytest.approx((0.99 * 3 + 0.01 * 13 + 1) / 255)


def test_qat_after_averaging_recalibrates_or_keeps():
    for policy, expected in (("recalibrate", 6 / 63), ("keep", 3 / 63)):
        model, quantizer = linear(NNIQAT, [1.0, -3.0], averaged=policy)
        latent_parameter(model, "0.weight").data.mul_(2)
        assert quantizer.after_average(model, [torch.ones(1, 2)]) == policy
        assert quantizer.export(model)["0"].weight.scale.tolist() == pytest.approx([expected])


def test_lsq_as_shipped_writes_its_start_until_the_first_step():
    model, quantizer = linear(NNILSQ, [1.0, -3.0])
    quant = model[0].weight_quant
    quant.get("scale").data.fill_(0.5)
    model(torch.ones(1, 2))
    assert quant.get("scale").item() == pytest.approx(0.01)
    quantizer.on_step(model, 1)
    quant.get("scale").data.fill_(0.5)
    model(torch.ones(1, 2))
    assert quant.get("scale").item() == 0.5


def test_lsq_below_zero_is_stored_as_the_same_grid():
    """NNI guards no scale: w = (0.31, -0.31, 1.3), s = -0.1 at 4 bits is (-3, 3, -7) s = (0.3, -0.3, 0.7)."""
    quantizer, model = NNILSQ(QuantSpec(4, None, granularity="per_tensor", rules=())), nn.Sequential(nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.31, -0.31, 1.3]]))
    quantizer.prepare(model, torch.ones(2, 3))
    quantizer.calibrate(model, [torch.ones(2, 3)])
    quantizer.on_step(model, 1)
    (fake,) = fake_quants(model)
    fake.get("scale").data.fill_(-0.1)
    weight, stored = model[0].weight.detach(), quantizer.export(model)["0"].weight
    assert weight.tolist() == [pytest.approx([0.3, -0.3, 0.7])]
    assert stored.scale.item() == pytest.approx(0.1)
    assert stored.codes.tolist() == [[3, -3, 7]]
    assert torch.equal(stored.dequantize(), weight)


def test_lsq_with_the_papers_start():
    model, quantizer = linear(NNILSQ, [1.0, -3.0], 4, 8, init="paper")
    quantizer.calibrate(model, [torch.tensor([[1.0, 1.0]]), torch.tensor([[3.0, -3.0]])])
    assert model[0].weight_quant.get("scale").item() == pytest.approx(2 * 2 / 7**0.5)
    assert model[0].act_quant.get("scale").item() == pytest.approx(2 * 2 / 127**0.5)


def test_lsq_scale_gradient_counts_the_whole_tensor():
    model, _ = linear(NNILSQ, [0.1, 3.0], 2, init="paper")  # Qp = 1
    quant = model[0].weight_quant
    quant.get("scale").data.fill_(0.5)
    quant(latent_parameter(model, "0.weight")).sum().backward()
    assert quant.get("scale").grad.item() == pytest.approx((-0.2 + 1) / 2**0.5)


def coarse(make, bits, weight, **how):
    model = nn.Sequential(nn.Linear(3, 1))
    model[0].weight.data = torch.tensor([weight])
    quantizer = make(QuantSpec(bits, granularity="per_tensor", rules=(), **how))
    quantizer.prepare(model, torch.ones(1, 3))
    return model, quantizer.export(model)["0"].weight


def test_dorefa_maps_the_largest_weight_to_one():
    """2 bit: tanh(.1, -.3, .02) / (2 tanh .3) + 1/2 = (.671, 0, .534), times 3 rounded (2, 0, 2), levels -1, -1/3, 1/3, 1."""
    _, weight = coarse(NNIDoReFa, 2, [0.1, -0.3, 0.02])
    assert weight.codes.tolist() == [[2, 0, 2]]
    assert weight.dequantize()[0].tolist() == pytest.approx([1 / 3, -1, 1 / 3])


def test_bnn_takes_the_sign_and_clips_the_weight_after_a_step():
    model, weight = coarse(NNIBNN, 2, [0.1, -3.0, 0.0])
    assert weight.dequantize().tolist() == [[1, -1, 1]]
    quantizer = NNIBNN(QuantSpec(2, granularity="per_tensor", rules=()))
    quantizer.on_step(model, 1)
    assert latent_parameter(model, "0.weight").tolist() == [[pytest.approx(0.1), -1, 0]]


def test_lsq_plus_as_shipped_has_all_codes_but_one_for_negative_weights():
    _, weight = coarse(NNILSQPlus, 4, [0.1, -0.05, -3.0], symmetric=False)
    assert weight.levels.tolist() == list(range(-14, 1))
    assert weight.dequantize()[0].tolist() == pytest.approx([0, -0.05, -0.14])


@pytest.mark.parametrize(
    "make, spec, why",
    [
        (NNIDoReFa, QuantSpec(7, rules=()), "granularity=per_tensor"),
        (NNIDoReFa, QuantSpec(7, 8, "per_tensor", rules=()), "act_bits=null"),
        (NNIBNN, QuantSpec(3, granularity="per_tensor", rules=()), "weight_bits=2"),
        (NNIBNN, QuantSpec(2, 8, "per_tensor", rules=()), "act_bits=null"),
        (NNILSQPlus, QuantSpec(7, granularity="per_tensor", rules=()), "symmetric=false"),
    ],
)
def test_what_nni_has_not_is_refused_with_what_to_write(make, spec, why):
    assert why in make(spec).supports(net(), spec).reason


def test_an_unknown_start_is_refused():
    with pytest.raises(ConfigError, match="init='paper'"):
        NNILSQ(QuantSpec(), init="esser")


def test_without_nni_the_module_imports_and_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "nni.compression", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'quantdg\[nni\]'"):
        NNIQAT(QuantSpec(rules=())).prepare(net(), batch(0))
