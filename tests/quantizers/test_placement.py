"""Outputs that ``placement=full`` quantizes: which ones, on which module, by which quantizer, with which values."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from quantdg.core.errors import ConfigError, QuantizerError
from quantdg.quantizers.acting import idle_sites
from quantdg.quantizers.contract.toy_net import ToyNet, calibration, float_net, images
from quantdg.quantizers.insertion import act_quants
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.min_max import MinMax
from quantdg.quantizers.pact import PACT
from quantdg.quantizers.round_to_nearest import RoundToNearest
from quantdg.quantizers.spec import QuantSpec, Rule
from quantdg.quantizers.torch_ao import TorchAO

FULL = QuantSpec(8, 8, placement="full", rules=())


def prepared(net, x, kind=LSQ, spec=FULL):
    quantizer = kind(spec)
    quantizer.prepare(net, x)
    quantizer.calibrate(net, [x])
    return quantizer


def where(quantizer):
    return [(o.module, o.grid, o.readers, o.carried) for o in quantizer.plan.outputs]


class Residual(nn.Module):
    """1 x 1 convolutions of one channel: y = relu(a x); z = relu(y + b y), read by two layers."""

    def __init__(self):
        super().__init__()
        self.a, self.act = nn.Conv2d(1, 1, 1, bias=False), nn.ReLU(inplace=True)
        self.b, self.norm = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=1e-12)
        self.last = nn.ReLU(inplace=True)
        self.c, self.d = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False)

    def forward(self, x):
        y = self.act(self.a(x))
        out = self.norm(self.b(y))
        out += y
        z = self.last(out)
        return self.c(z) + self.d(z)


def residual():
    net = Residual().eval()
    for layer, value in ((net.a, 1.0), (net.b, 0.5), (net.c, 1.0), (net.d, 1.0)):
        layer.weight.data.fill_(value)
    return net


def test_a_residual_read_twice_has_one_quantizer_and_its_readers_none():
    net, x = residual(), torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)
    quantizer = prepared(net, x)
    assert where(quantizer) == [
        ("act", "act", ("b",), False),
        ("norm", "norm", (), False),
        ("last", "last", ("c", "d"), False),
        ("c", "c", (), False),
        ("d", "d", (), False),
    ]
    assert net.b.act_quant is net.c.act_quant is net.d.act_quant is None
    assert net.a.act_quant is not None
    assert {site.act_bits for site in quantizer.plan.sites} == {8}


def test_values_by_hand():
    """All grids run from 0 to a multiple of 255 units, so that units stay exact: y, y / 2, and their sum 1.5 y twice."""
    net, x = residual(), torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
    quantizer = prepared(net, x, partial(MinMax, narrow=True))  # whose weights are exact
    exported, outputs = quantizer.export(net), quantizer.outputs(net)
    assert outputs["act"].act.scale == pytest.approx(1 / 255)
    assert outputs["norm"].act.scale == pytest.approx(0.5 / 255, rel=1e-4)
    assert outputs["last"].act.scale == pytest.approx(1.5 / 255, rel=1e-4)
    assert exported["b"].act == outputs["act"].act
    assert exported["c"].act == exported["d"].act == outputs["last"].act
    y = torch.tensor([0.0, 1.0, 2.0, 3.0, 255.0]) / 255  # on the grid of act
    torch.testing.assert_close(net(y.reshape(1, 1, 1, 5)).flatten(), 3 * y, atol=1e-4, rtol=0)
    between = torch.tensor([10.3, 10.6]).reshape(1, 1, 1, 2) / 255  # rounds to 10 and 11 before all else
    torch.testing.assert_close(net(between).flatten(), 3 * torch.tensor([10.0, 11.0]) / 255, atol=1e-4, rtol=0)


def test_what_one_layer_reads_keeps_the_quantizer_of_its_input():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2))
    quantizer = prepared(net, torch.randn(2, 3, 8, 8))
    assert where(quantizer) == [("3", "3", (), False), ("4", "3", (), True)]
    assert net[3].act_quant is not None


class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 1)
        self.left, self.right = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        self.join, self.pool, self.head = Join(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.pool(self.join(self.left(x), self.right(x))))


class Join(nn.Module):
    def forward(self, a, b):
        return torch.cat([a, b], 1)


def test_branches_of_a_concatenation_and_a_pool_share_one_object():
    net, x = Joined(), torch.randn(2, 1, 4, 4)
    quantizer = prepared(net, x)
    assert where(quantizer) == [
        ("stem", "stem", ("left", "right"), False),
        ("left", "left", (), False),
        ("right", "left", (), False),
        ("join", "left", (), True),
        ("pool", "left", ("head",), True),
    ]
    assert net.left.output_quant is net.right.output_quant
    acts = [quantizer.outputs(net)[name].act for name in ("left", "right", "join", "pool")]
    assert len(set(acts)) == 1
    assert quantizer.export(net)["head"].act == acts[0]
    own = [p for p in quantizer.plan.parameters if net.get_parameter(p) is net.left.output_quant.step_size]
    assert own == ["left.output_quant.step_size"]
    (group,) = quantizer.param_groups(net, 1.0)
    assert len({id(p) for p in group["params"]}) == len(group["params"]) == len(quantizer.plan.parameters)


def test_the_output_is_computed_with_the_grid_that_is_exported():
    net, x = Joined().eval(), torch.randn(2, 1, 8, 8)
    quantizer = prepared(net, x)
    seen = {}
    for name in ("left", "right", "join", "pool"):
        net.get_submodule(name).register_forward_hook(lambda m, i, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        net(x)
    for name, out in seen.items():
        torch.testing.assert_close(out, quantizer.outputs(net)[name].act.quantize(out), atol=1e-6, rtol=0)
        assert len(torch.unique(out)) > 4


@pytest.mark.parametrize("kind", [LSQ, PACT])
def test_outputs_are_trained_through_sums_in_place(kind):
    net, x = residual().train(), torch.randn(4, 1, 8, 8)
    quantizer = prepared(net, x, kind)
    before = {name: net.get_parameter(name).clone() for name in quantizer.plan.parameters}
    optimizer = torch.optim.Adam([*net.parameters()], 1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        (net(3 * x).square().mean() + (quantizer.penalty(net) or 0)).backward()
        optimizer.step()
        quantizer.on_step(net, 1)
    audit = quantizer.audit(net).outputs
    assert set(audit) == {"act", "norm", "last", "c", "d"}
    assert all(evidence.scale_moved > 0 and evidence.scale_gradient > 0 for evidence in audit.values())
    assert all(not torch.equal(net.get_parameter(name), value) for name, value in before.items())


def test_the_penalty_counts_each_clip_once():
    net, x = Joined(), torch.randn(2, 1, 4, 4)
    quantizer = prepared(net, x, PACT)
    clips = [net.stem.act_quant.alpha, net.stem.output_quant.alpha, net.left.output_quant.alpha]
    expected = quantizer.decay * torch.stack(clips).square().sum()
    torch.testing.assert_close(quantizer.penalty(net), expected)


def test_batchnorm_in_evaluation_mode_does_not_hold_the_quantizer_behind_it():
    net, x = residual().train(), torch.rand(2, 1, 4, 4)
    quantizer = prepared(net, x, TorchAO)
    net.norm.eval()
    assert net.norm.output_quant.training
    before = quantizer.outputs(net)["norm"].act
    net(5 * x)
    assert quantizer.outputs(net)["norm"].act != before


def test_copies_and_pickles_keep_the_shared_object():
    net, x = Joined().eval(), torch.randn(2, 1, 4, 4)
    prepared(net, x)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.left.output_quant is other.right.output_quant
        assert other.left.output_quant is not net.left.output_quant
        assert torch.equal(other(x), net(x))


def test_the_toy_that_slices_its_layers_is_traced():
    net = float_net()
    quantizer = prepared(net, calibration(1)[0], spec=QuantSpec(8, 8, placement="full"))
    names = [o.module for o in quantizer.plan.outputs]
    assert names == ["featurizer.2", "featurizer.5", "featurizer.8"]
    assert idle_sites(net, quantizer.export(net), images(0)[0]) == {}


def test_an_output_that_nothing_depends_on_is_idle():
    net, x = residual(), torch.rand(1, 1, 4, 4)
    quantizer = prepared(net, x)
    assert idle_sites(net, quantizer.export(net), x) == {}
    net.norm.register_forward_hook(lambda module, inputs, out: torch.zeros_like(out))
    assert "its quantized output" in idle_sites(net, quantizer.export(net), x)["norm"]


class MidSum(nn.Module):
    """A sum in the middle of a forward belongs to no module."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(1, 1, 1) for _ in range(3))

    def forward(self, x):
        y = self.a(x)
        z = y + self.b(y)
        return z + self.c(z)


def test_a_value_without_a_module_stays_float_and_the_plan_says_why():
    quantizer = prepared(MidSum(), torch.randn(1, 1, 2, 2))
    assert [o.module for o in quantizer.plan.outputs] == ["a", "b", "c"]
    (left,) = quantizer.plan.float_outputs
    assert left.name == "add"
    assert "no module of the network returns this value" in left.reason


def test_a_network_that_cannot_be_traced_is_refused_with_the_reason():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return self.a(x) if x.sum() > 0 else x

    support = LSQ(FULL).supports(Branching(), FULL)
    assert not support.ok
    assert "torch.fx cannot trace" in support.reason
    assert "placement=inputs" in support.reason
    with pytest.raises(QuantizerError, match="placement=inputs"):
        LSQ(FULL).prepare(Branching(), torch.ones(1, 1, 2, 2))


def test_a_value_that_is_changed_in_place_while_others_read_it_stays_float():
    class Changed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.act, self.b = nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True), nn.Conv2d(1, 1, 1)

        def forward(self, x):
            y = self.a(x)
            return self.b(self.act(y)) + y

    quantizer = prepared(Changed(), torch.randn(1, 1, 2, 2))
    assert [(f.name, "in place" in f.reason) for f in quantizer.plan.float_outputs] == [("a: a", True)]


def test_layers_with_other_bits_keep_quantizers_of_their_own():
    spec = QuantSpec(8, 8, placement="full", rules=(Rule("c", act_bits=4), Rule("d", act_bits=None)))
    net = residual()
    quantizer = prepared(net, torch.randn(1, 1, 4, 4), spec=spec)
    assert [(o.module, o.readers) for o in quantizer.plan.outputs[:2]] == [("act", ("b",)), ("norm", ())]
    assert len(quantizer.plan.outputs) == 4  # what c and d return is added
    assert net.c.act_quant.bits == 4
    assert net.d.act_quant is None


def test_post_training_rounds_outputs_after_calibration_only():
    net, x = float_net().eval(), images(3)[0]
    expected = net(x)
    quantizer = RoundToNearest(QuantSpec(8, 8, placement="full"))
    quantizer.prepare(net, x)
    quantizer.on_step(net, 1)
    assert torch.equal(net.eval()(x), expected)
    quantizer.calibrate(net, [x])
    rounded = net(x)
    assert not torch.equal(rounded, expected)
    for quant in act_quants(net):
        assert quant.quantized


def test_float_and_full_need_bits_and_a_known_place():
    with pytest.raises(ConfigError, match="placement=full quantizes activations"):
        QuantSpec(8, placement="full")
    with pytest.raises(ConfigError, match="inputs, full"):
        QuantSpec(8, 8, placement="outputs")


def test_the_default_is_no_part_of_the_identity_and_changes_nothing():
    assert "placement" not in QuantSpec(8, 8).identity
    assert FULL.identity["placement"] == "full"
    assert (QuantSpec(8, 8).label, FULL.label) == ("W8A8", "W8A8 full")
    assert prepared(ToyNet(), images(0)[0], spec=QuantSpec(8, 8)).plan.outputs == ()


def test_functions_join_and_pool_too():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(2, 2, 1) for _ in range(3))

        def forward(self, x):
            a = self.a(F.max_pool2d(x, 2))
            size = a.shape[0] + a.shape[1]
            b = F.adaptive_avg_pool2d(self.b(a), 1)
            return self.c(b).mean([2, 3]) * size

    quantizer = prepared(Functional(), torch.randn(1, 2, 4, 4))
    assert [o.module for o in quantizer.plan.outputs] == ["b", "c"]
    assert quantizer.plan.float_outputs == ()
