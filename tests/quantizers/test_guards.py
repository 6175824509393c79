"""A guard belongs to the parameter it is for: scales stay positive, whatever else a subclass learns goes where it goes."""

import pytest
import torch
from torch import nn

from quantdg.quantizers.apot import APoT
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.nni_lsq import NNILSQ
from quantdg.quantizers.pact import PACT
from quantdg.quantizers.spec import QuantSpec
from quantdg.quantizers.torch_ao_learnable import TorchAOLearnable


def offset(quant):
    quant.register_parameter("offset", nn.Parameter(torch.tensor(-0.5)))
    return quant


def with_offsets(kind):
    class Learned(kind):
        def weight_quantizer(self, weight, site):
            return offset(super().weight_quantizer(weight, site))

        def act_quantizer(self, site):
            return offset(super().act_quantizer(site))

    return Learned


CASES = [(LSQ, 8, {}), (PACT, 8, {}), (APoT, None, {}), (TorchAOLearnable, 8, {}), (NNILSQ, 8, {"init": "paper"})]


@pytest.mark.parametrize(("kind", "act_bits", "options"), CASES)
def test_an_offset_below_zero_survives_a_step_and_a_scale_does_not(kind, act_bits, options):
    if kind.missing():
        pytest.skip(kind.missing())
    model, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(8, 4)
    quantizer = with_offsets(kind)(QuantSpec(7, act_bits, rules=()), **options)
    plan = quantizer.prepare(model, x)
    learned = {name: model.get_parameter(name) for name in plan.parameters}
    offsets = {name: p for name, p in learned.items() if name.endswith(".offset")}
    assert len(offsets) == (4 if act_bits else 2)
    zeros = {name for name in learned if "zero_point" in name}
    with torch.no_grad():
        for name, p in learned.items():
            p.fill_(-0.5 if name in offsets else -1.0)
    quantizer.on_step(model, 1)
    for name, p in learned.items():
        if name in offsets:
            assert float(p.detach()) == -0.5, name
        elif name not in zeros:
            assert bool((p > 0).all()), name
