"""The AIMET adapter against AIMET used directly, and against values by hand."""

import io
import sys

import pytest
import torch
from torch import nn

from quantdg.core.errors import MissingPackageError
from quantdg.quantizers.aimet import Aimet
from quantdg.quantizers.spec import QuantSpec

pytest.importorskip("aimet_torch", reason="pip install 'quantdg[aimet]'")

ROWS = [[0.7, -0.21, 0.12, -0.8], [0.05, 0.02, -0.14, 0.07]]


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_adapter_equals_aimet_bit_for_bit(same_as_direct, direct, symmetric):
    from aimet_torch.quantization.affine import QuantizeDequantize  # noqa: PLC0415

    def layer_of_aimet(layer):
        weight = QuantizeDequantize((layer.weight.shape[0], *[1] * (layer.weight.dim() - 1)), -4, 3, symmetric)
        act = QuantizeDequantize((), 0, 255, False)
        with weight.compute_encodings():
            weight(layer.weight)
        return direct(layer, weight, Calibrated(act))

    same_as_direct(Aimet, (3, 8, "per_channel", symmetric), layer_of_aimet)


class Calibrated(nn.Module):
    """A quantizer of AIMET whose first batch sets its range."""

    def __init__(self, fake):
        super().__init__()
        self.fake, self.seen = fake, False

    def forward(self, x):
        if not self.seen:
            with self.fake.compute_encodings():
                self.fake(x)
        self.seen = True
        return self.fake(x)


def prepared(symmetric):
    model = nn.Sequential(nn.Linear(4, 2))
    model[0].weight.data = torch.tensor(ROWS)
    quantizer = Aimet(QuantSpec(4, symmetric=symmetric, rules=()))
    return model, quantizer, quantizer.prepare(model, torch.ones(1, 4))


def test_the_symmetric_grid_by_hand():
    """The scale is max(max / 7, -min / 8): here no weight is clipped on either side."""
    model, quantizer, plan = prepared(symmetric=True)
    weight = quantizer.export(model)["0"].weight
    assert weight.scale.tolist() == pytest.approx([0.1, 0.0175])
    assert weight.codes.tolist() == [[7, -2, 1, -8], [3, 1, -8, 4]]
    model[0].weight.sum().backward()
    low, high = (model.get_parameter(name).grad for name in plan.parameters)
    rounding = (7 - 7) + (-2 + 2.1) + (1 - 1.2) + (-8 + 8)  # of the first row, over the 15 steps of the range
    assert (float(low[0]), float(high[0])) == (pytest.approx(-rounding / 15), pytest.approx(rounding / 15))


def test_the_affine_grid_by_hand():
    """The second row: -.14 .. .07 is 15 steps of .014, and 0 has the code 2."""
    model, quantizer, _ = prepared(symmetric=False)
    weight = quantizer.export(model)["0"].weight
    assert weight.scale.tolist() == pytest.approx([0.1, 0.014])
    assert (weight.zero_point.tolist(), weight.codes.tolist()[1]) == ([0, 2], [6, 3, -8, 7])


def test_a_state_dict_holds_tensors_and_loads_strictly_and_a_model_pickles():
    model, _, _ = prepared(symmetric=True)
    assert all(isinstance(value, torch.Tensor) for value in model.state_dict().values())
    fresh, _, _ = prepared(symmetric=True)
    fresh.load_state_dict({name: 2 * value for name, value in model.state_dict().items()}, strict=True)
    assert torch.equal(fresh[0].weight, 2 * model[0].weight)
    torch.save(model, io.BytesIO())


def test_without_aimet_the_pip_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "aimet_torch.quantization.affine", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'quantdg\[aimet\]'"):
        Aimet(QuantSpec(rules=())).prepare(nn.Sequential(nn.Linear(4, 2)), torch.ones(1, 4))
