"""AdaRound and BRECQ: values by hand, random layers against rounding to the nearest, blocks of known networks."""

import pytest
import torch
import torchvision
from torch import nn

from quantdg.core.errors import ConfigError, QuantizerError
from quantdg.quantizers.adaround import AdaRound
from quantdg.quantizers.brecq import BRECQ, blocks_of, calls_of, output_error
from quantdg.quantizers.contract.toy_net import calibration
from quantdg.quantizers.insertion import sites_of
from quantdg.quantizers.layer_wise import layer_error
from quantdg.quantizers.learned_rounding import Choice
from quantdg.quantizers.post_training import Rows
from quantdg.quantizers.round_to_nearest import RoundToNearest
from quantdg.quantizers.spec import IntegerRange, QuantSpec

QUICK = {"iterations": 150, "lr": 0.1}


def rows_of(weight, codes=(-4, 3)):
    weight = torch.tensor([weight], dtype=torch.float64)
    return Rows(weight, torch.ones_like(weight), torch.zeros_like(weight), IntegerRange(*codes))


def test_start_and_term_by_hand():
    choice = Choice(rows_of([[0.3, 0.9]]))
    assert choice.v.flatten().tolist() == pytest.approx([-0.6931472, 1.6094379])
    share = choice.share()
    assert share.flatten().tolist() == pytest.approx([0.3, 0.9])
    assert choice.term(share[..., :1], 1.0).item() == pytest.approx(0.84)
    assert choice.term(share[..., :1], 0.2).item() == pytest.approx(1 - 0.4**20)
    assert choice.term(share[..., 1:], 1.0).item() == pytest.approx(0.36)
    assert choice.term(share, 0.19).item() == 0
    assert choice.weight(share).flatten().tolist() == pytest.approx([0.3, 0.9])
    assert choice.made().codes.flatten().tolist() == [0, 1]
    assert choice.made().undecided == 1


def test_a_decided_or_clipped_weight_gets_no_gradient():
    choice = Choice(rows_of([[0.3, 9.0, -9.0, 0.5]]))
    choice.v.data[0, 0, 3] = 30.0
    choice.off(choice.share()).sum().backward()
    assert (choice.v.grad != 0).flatten().tolist() == [True, False, False, False]
    assert choice.weight(choice.share()).flatten().tolist()[1:3] == [3, -4]


def test_the_layer_of_two_weights_by_hand():
    h = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]], dtype=torch.float64)
    rows = rows_of([[0.6, 0.55]])
    for codes, error in (((1, 0), 0.485), ((0, 1), 0.585), ((1, 1), 1.085), ((0, 0), 1.985)):
        assert layer_error(rows, torch.tensor([[codes]]).double(), h) == pytest.approx(error)
    found = AdaRound(**QUICK).round_rows(rows, h)
    assert found.codes.flatten().tolist() == [1, 0]
    assert found.undecided == 0
    weak = AdaRound(strength=0.005, **QUICK).round_rows(rows, h)
    assert weak.codes.flatten().tolist() == [1, 1]
    assert weak.undecided == 1


def test_random_layers_come_out_better_than_rounding_to_the_nearest():
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        weight, mix = (torch.randn(1, n, 24, generator=generator, dtype=torch.float64) for n in (8, 24))
        x = mix[0] @ torch.randn(24, 200, generator=generator, dtype=torch.float64)
        scale = 2 * weight.abs().amax(2, keepdim=True).expand_as(weight) / 7
        rows, h = Rows(weight, scale, torch.zeros_like(weight), IntegerRange(-4, 3)), (x @ x.T / 100)[None]
        found = AdaRound(iterations=60, lr=0.2).round_rows(rows, h)
        assert layer_error(rows, found.codes, h) < 0.8 * layer_error(rows, rows.nearest(), h)
        again = AdaRound(iterations=60, lr=0.2).round_rows(rows, 1e4 * h)
        assert (again.codes == found.codes).double().mean() > 0.97  # the size of inputs does not compete with the term


def prepared(net, shape, quantizer):
    net.eval()
    quantizer.prepare(net, torch.zeros(shape))
    return {
        name: [site.name for site in inside] for name, inside in blocks_of(net, [s for _, s in sites_of(net)]).items()
    }


def test_blocks_are_residual_blocks_and_the_first_layer_is_alone():
    spec = QuantSpec(8, rules=())
    found = prepared(torchvision.models.resnet18(), (1, 3, 32, 32), RoundToNearest(spec, base="min_max"))
    assert found["conv1"] == ["conv1"]
    assert found["fc"] == ["fc"]
    assert found["layer2.0"] == ["layer2.0.conv1", "layer2.0.conv2", "layer2.0.downsample.0"]
    assert len(found) == 10
    wrapped = nn.Sequential(nn.ModuleDict({"body": torchvision.models.resnet18()})["body"], nn.Linear(1000, 2))
    assert list(prepared(wrapped, (1, 3, 32, 32), RoundToNearest(spec, base="min_max")))[:2] == [
        "0.conv1",
        "0.layer1.0",
    ]


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x, scale=1.0):
        return scale * x + self.two(self.one(x).relu())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.stem, self.block, self.head = nn.Conv2d(3, 3, 3, padding=1), Block(), nn.Linear(3, 4)
        for parameter in self.parameters():
            parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=generator))

    def forward(self, x):
        return self.head(self.block(self.stem(x), scale=0.5).mean((2, 3)))


@pytest.mark.parametrize("inputs", [None, 8])
def test_a_blocks_output_changes_less_than_by_rounding_to_the_nearest(inputs):
    errors = {}
    for method in (RoundToNearest, BRECQ):
        net = Net().eval()
        quantizer = method(QuantSpec(3, inputs, rules=()), **(QUICK if method is BRECQ else {}))
        quantizer.prepare(net, calibration(1)[0])
        quantizer.calibrate(net, calibration(2))
        with torch.no_grad():
            errors[method] = float(output_error(net.block, calls_of(net, net.block, calibration(3))))
        audit = quantizer.audit(net).sites
        assert not any(parameter.grad is not None for parameter in net.parameters())
    assert errors[BRECQ] < 0.7 * errors[RoundToNearest]
    assert audit["block.one"].error_ratio == audit["block.two"].error_ratio < 0.7


def test_targets_are_the_float_networks_and_inputs_the_quantized_ones():
    net, untouched, batches = Net().eval(), Net().eval(), calibration(2)
    quantizer = RoundToNearest(QuantSpec(2, rules=()))
    quantizer.prepare(net, batches[0])
    quantizer.calibrate(net, batches)
    with torch.no_grad():
        calls = calls_of(net, net.block, batches)
        for call, batch in zip(calls, batches, strict=True):
            assert torch.equal(call.args[0], net.stem(batch))
            assert torch.equal(call.output, untouched.block(untouched.stem(batch), scale=0.5))
        expected = (
            sum((net.block(*c.args, **c.kwargs) - c.output).square().sum() / c.output[:, 0].numel() for c in calls) / 2
        )
        assert float(output_error(net.block, calls)) == pytest.approx(float(expected))
    part = calls[0].images(torch.tensor([3, 1]))
    assert torch.equal(part.args[0], calls[0].args[0][[3, 1]])
    assert part.kwargs == {"scale": 0.5}


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.one(x), x


class Tuples(nn.Module):
    def __init__(self):
        super().__init__()
        self.two = Two()

    def forward(self, x):
        return self.two(x)[0].mean((2, 3))


def test_a_block_without_one_tensor_is_refused_by_name():
    net, quantizer = Tuples().eval(), BRECQ(QuantSpec(rules=()))
    quantizer.prepare(net, calibration(1)[0])
    with pytest.raises(QuantizerError, match="but a Two is not or does not; leave its layers in float"):
        quantizer.calibrate(net, calibration(1))


@pytest.mark.parametrize("method", [AdaRound, BRECQ])
@pytest.mark.parametrize("setting", ["iterations", "lr", "strength"])
def test_settings_must_be_positive(method, setting):
    with pytest.raises(ConfigError, match=f"{setting} must be above 0, got 0"):
        method(**{setting: 0})
