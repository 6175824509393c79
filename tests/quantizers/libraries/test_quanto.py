"""The quanto adapter against quanto used directly, and against values by hand."""

import sys

import pytest
import torch
from torch import nn

from quantdg.core.errors import MissingPackageError
from quantdg.quantizers.insertion import latent_parameter
from quantdg.quantizers.quanto import Quanto
from quantdg.quantizers.spec import QuantSpec

pytest.importorskip("optimum.quanto", reason="pip install 'quantdg[quanto]'")


def convolutions():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten())


def batch(seed):
    return torch.randn(4, 3, 10, 10, generator=torch.Generator().manual_seed(seed))


def test_convolutions_equal_quanto_bit_for_bit(train):
    from optimum.quanto import qint8, quantize  # noqa: PLC0415

    theirs, ours = convolutions(), convolutions()
    quantize(theirs, weights=qint8)
    quantizer = Quanto(QuantSpec(8, rules=()))
    quantizer.prepare(ours, batch(0))
    batches = [batch(step) for step in range(1, 4)]
    for expected, got in zip(*(train(model, batches, rate=0.05) for model in (theirs, ours)), strict=True):
        assert torch.equal(expected, got)
    for layer in ("0", "2"):
        assert torch.equal(latent_parameter(ours, f"{layer}.weight"), theirs.get_submodule(layer).weight)


def test_a_linear_layer_with_inputs_equals_quanto_up_to_its_order_of_sums():
    from optimum.quanto import Calibration, qint8, quantize  # noqa: PLC0415

    torch.manual_seed(0)
    ours, theirs = nn.Sequential(nn.Linear(6, 5)), nn.Sequential(nn.Linear(6, 5))
    theirs.load_state_dict(ours.state_dict())
    quantize(theirs, weights=qint8, activations=qint8)
    theirs[0].disable_output_quantization()
    batches = [torch.randn(8, 6, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    quantizer = Quanto(QuantSpec(8, 8, rules=()))
    quantizer.prepare(ours, batches[0])
    quantizer.calibrate(ours, batches)
    with torch.no_grad(), Calibration():
        for x in batches:
            theirs(x)
    assert torch.equal(ours[0].act_quant.scale, theirs[0].input_scale)
    x = batches[0]
    assert torch.equal(ours[0].act_quant(x), theirs[0].quantize_input(theirs[0], (x,)).dequantize())
    assert torch.equal(ours[0].weight, theirs[0].qweight.dequantize())
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_values_by_hand():
    """Scale .8 / 127; inputs .9 * 2 / 127 + .1 * 4 / 127; the gradient is 1, for a clipped input too."""
    model = nn.Sequential(nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([[0.4, -0.8]])
    quantizer = Quanto(QuantSpec(8, 8, rules=()))
    quantizer.prepare(model, torch.ones(1, 2))
    quantizer.calibrate(model, [torch.tensor([[2.0, 0.0]]), torch.tensor([[-4.0, 0.0]])])
    site = quantizer.export(model)["0"]
    assert (site.weight.codes.tolist(), site.weight.scale.tolist()) == ([[64, -127]], [pytest.approx(0.8 / 127)])
    assert (site.act.scale, site.act.qmin, site.act.qmax) == (pytest.approx(2.2 / 127), -128, 127)
    x = torch.tensor([[9.0, 1.0]], requires_grad=True)
    model[0].act_quant(x).sum().backward()
    assert x.grad.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "spec, why",
    [
        (QuantSpec(4, rules=()), "weight_bits=8"),
        (QuantSpec(8, 4, rules=()), "act_bits=8"),
        (QuantSpec(8, granularity="per_tensor", rules=()), "granularity=per_channel"),
    ],
)
def test_what_quanto_has_not_is_refused_with_what_to_write(spec, why):
    assert why in Quanto(spec).supports(convolutions(), spec).reason


def test_a_dead_channel_and_a_dead_input_have_a_grid_of_a_positive_scale():
    """The library divides by max|w| = 0; a packed model with such a scale is refused, after the training."""
    model = convolutions()
    with torch.no_grad():
        model[0].weight[1:3] = 0
        model[0].bias.fill_(-1e3)
    quantizer = Quanto(QuantSpec(8, 8, rules=()))
    quantizer.prepare(model, batch(0))
    quantizer.calibrate(model, [batch(1)])
    with torch.no_grad():
        out = model.eval()(batch(2))
    assert torch.isfinite(out).all()
    sites = quantizer.export(model)
    assert (sites["0"].weight.scale > 0).all()
    assert sites["2"].act.scale > 0
    assert not sites["0"].weight.codes[1:3].any()


def test_without_quanto_the_pip_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optimum.quanto", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'quantdg\[quanto\]'"):
        Quanto(QuantSpec(8, rules=())).prepare(nn.Sequential(nn.Linear(4, 2)), torch.ones(1, 4))
