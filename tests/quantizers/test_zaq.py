"""ZAQ and ZSAQ: the distance by hand and by loops, codes by hand, no look at data, better than the nearest codes."""

from functools import lru_cache

import pytest
import torch
from torch import nn

from quantdg.bench.models.convnet import convnet
from quantdg.core.errors import ConfigError
from quantdg.quantizers.contract.toy_net import calibration, float_net, images
from quantdg.quantizers.feature_maps import FeatureMaps, Forwarded
from quantdg.quantizers.image_generator import ImageGenerator
from quantdg.quantizers.insertion import sites_of
from quantdg.quantizers.learned_codes import LearnedCodes, computing_with
from quantdg.quantizers.round_to_nearest import RoundToNearest
from quantdg.quantizers.spec import QuantSpec, Rule
from quantdg.quantizers.zaq import SIDE, ZAQ, relation_distance, relations_of
from quantdg.quantizers.zsaq import ZSAQ

QUICK = {"iterations": 1, "steps": 1, "batch": 4, "base": "min_max"}
SPEC = QuantSpec(2, 8, rules=(Rule("classifier*", skip=True),))


def test_the_relations_of_two_positions_by_hand():
    ours, theirs = torch.tensor([[[[2.0, 3.0]]]]), torch.tensor([[[[2.0, -3.0]]]])
    for feature, positions in ((ours, [1.1, 1.1]), (theirs, [1.0761594, -1.0761594])):
        found, channels = relations_of(feature)
        assert found.flatten().tolist() == pytest.approx(positions)
        assert torch.allclose(channels.flatten(), 1.1 * feature.flatten().sign())
    assert float(relation_distance(ours, theirs)) == pytest.approx(2.2)


def test_the_relations_are_those_of_loops_and_dissimilar_channels_attend():
    feature = torch.randn(2, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    x = (feature / feature.square().sum(1, keepdim=True).sqrt()).reshape(2, 3, 8)
    for n in range(2):
        spatial, channel = torch.zeros(3, 8), torch.zeros(3, 8)
        for i in range(8):
            attention = torch.stack([(x[n, :, i] * x[n, :, j]).sum() for j in range(8)]).exp()
            spatial[:, i] = x[n, :, i] + 0.1 * (attention / attention.sum() * x[n]).sum(1)
        for i in range(3):
            attention = torch.stack([-(x[n, i] * x[n, j]).sum() for j in range(3)]).exp()
            channel[i] = x[n, i] + 0.1 * (attention / attention.sum()) @ x[n]
        for found, expected in zip(relations_of(feature), (spatial, channel), strict=True):
            assert torch.allclose(found[n], expected, atol=1e-6)
    assert all(found.shape == (1, 3, SIDE * 2) for found in relations_of(torch.randn(1, 3, 33, 2)))


def test_codes_learn_within_the_grid_alone():
    layer = nn.Linear(4, 1, bias=False)
    layer.weight.data = torch.tensor([[0.4, -0.8, 1.5, 3.5]])
    net = nn.Sequential(layer).eval()
    quantizer = RoundToNearest(QuantSpec(3, rules=()), base="min_max")
    quantizer.prepare(net, torch.ones(1, 4))
    ((_, site),) = sites_of(net)
    scale = 1.0  # 2 max|w| over 7
    codes = LearnedCodes(net)
    (place,) = codes.places.values()
    assert torch.allclose(place, layer._parameters["weight"] / scale)
    place.data = torch.tensor([[0.4, -0.6, 3.2, -9.0]])
    (weight,) = codes.weights().values()
    assert weight.tolist() == [[0, -scale, 3 * scale, -4 * scale]]
    (slope,) = torch.autograd.grad(weight.sum(), place)
    assert slope.tolist() == [[scale, scale, 0, 0]]
    with torch.no_grad(), computing_with(codes.weights()):
        assert float(net(torch.ones(1, 4))) == pytest.approx(-2 * scale)
    codes.settle(0.5)
    assert site.weight_quant.codes.tolist() == [[0, -1, 3, -4]]
    assert quantizer.audit(net).sites["0"].error_ratio == 0.5


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 10, 7), (2, 5, 5)])
def test_images_have_any_size_and_normalised_channels_and_are_drawn_from_the_seed_alone(shape):
    state = torch.get_rng_state()
    ours, again, other = (ImageGenerator(shape, seed, width=4) for seed in (1, 1, 2))
    x = ours.draw(5)
    assert torch.equal(state, torch.get_rng_state())
    assert x.shape == (5, *shape)
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(shape[0]), atol=1e-4)
    assert torch.allclose(x.square().mean((0, 2, 3)), torch.ones(shape[0]), atol=1e-2)
    assert torch.equal(x, again.draw(5))
    assert not torch.equal(x, other.draw(5))
    assert not torch.equal(x, ours.draw(5))


def test_a_stage_ends_where_the_resolution_changes():
    net = convnet((3, 16, 16), 10).eval()
    found = FeatureMaps(net, torch.zeros(1, 3, 16, 16))
    assert found.stages == [net.featurizer[2], net.featurizer[5], net.featurizer[8]]
    x = torch.randn(2, 3, 16, 16)
    out = found(x)
    assert torch.equal(out.logits, net(x))
    assert [tuple(f.shape) for f in out.maps] == [(2, 16, 16, 16), (2, 32, 8, 8), (2, 64, 4, 4)]
    assert torch.equal(out.maps[1], net.featurizer[:6](x))
    assert FeatureMaps(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), torch.zeros(1, 3, 4, 4)).stages == []


class Unreadable:
    def __iter__(self):
        raise AssertionError("calibration data was read")


@pytest.mark.parametrize("method", [ZAQ, ZSAQ])
def test_no_image_is_read(method):
    found = []
    for example, batches in ((images(0)[0], Unreadable()), (torch.full((9, 3, 10, 10), torch.nan), calibration())):
        net, quantizer = float_net(), method(SPEC, **QUICK)
        quantizer.prepare(net, example)
        quantizer.calibrate(net, batches)
        assert quantizer.after_average(net, batches) == "recalibrate"
        found.append(net.state_dict())
        assert all(torch.isfinite(value.double()).all() for value in found[-1].values())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@lru_cache
def pupil(method, **options):
    net, quantizer = float_net().eval(), method(SPEC, **options)
    quantizer.prepare(net, images(0)[0])
    quantizer.calibrate(net, [])
    return net, quantizer


def test_learned_codes_are_nearer_to_the_float_network_than_the_nearest_on_images_never_seen():
    x, floats = images(5)[0], float_net().eval()
    nets = {"zaq": pupil(ZAQ, iterations=20, batch=8, lr=0.03, relations=0), "nearest": None}
    nets["nearest"] = (float_net().eval(), RoundToNearest(SPEC))
    net, quantizer = nets["nearest"]
    quantizer.prepare(net, x)
    quantizer.calibrate(net, calibration())
    with torch.no_grad():
        errors = {name: float((net(x) - floats(x)).abs().mean()) for name, (net, _) in nets.items()}
    assert errors["zaq"] < 0.8 * errors["nearest"]
    net, quantizer = nets["zaq"]
    ratios = {site.error_ratio for site in quantizer.audit(net).sites.values()}
    assert len(ratios) == 1
    assert ratios.pop() < 0.8
    assert not any(parameter.grad is not None for parameter in net.parameters())


def test_the_generator_raises_the_distance_and_the_activity_on_the_graph_of_both_networks():
    net = float_net().eval()
    quantizer = ZAQ(SPEC, **QUICK)
    quantizer.prepare(net, images(0)[0])
    for _, site in sites_of(net):
        site.weight_quant.quantized.fill_(False)
        site.act_quant.quantized.fill_(False)
    network, codes = FeatureMaps(net, images(0)[0]), LearnedCodes(net)
    x = images(1)[0].requires_grad_()
    loss = quantizer._generator_loss(codes.weights(), network, x)
    theirs = network(x)
    with computing_with(codes.weights()):
        ours = network(x)
    by_hand = -(ours.logits - theirs.logits).abs().mean() - 0.1 * theirs.maps[-1].abs().mean()
    by_hand -= sum(relation_distance(a, b) for a, b in zip(ours.maps, theirs.maps, strict=True))
    assert torch.allclose(loss, by_hand)
    found, expected = (torch.autograd.grad(value, x)[0] for value in (loss, by_hand))
    assert torch.allclose(found, expected)


class Line(nn.Module):
    """q(x) - p(x) = x (w_q - 1): |.| of it, by one weight."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1, bias=False)
        self.layer.weight.data = torch.tensor([[0.3, -0.9]])

    def forward(self, x):
        return self.layer(x)


def test_zsaq_by_hand():
    net = Line().eval()
    quantizer = ZSAQ(QuantSpec(2, rules=()), base="min_max", rho=0.1)
    RoundToNearest(QuantSpec(2, rules=()), base="min_max").prepare(net, torch.ones(1, 2))
    codes, x = LearnedCodes(net), torch.tensor([[3.0, 4.0]])
    weights = codes.weights()
    w = next(iter(weights.values())).detach()
    theirs = Forwarded(torch.tensor([[-9.0]]), [])
    loss = quantizer.student_loss(weights, FeatureMaps(net, x), x, theirs)
    assert loss.item() == pytest.approx(float((w * x).sum()) + 9 + 0.1 * 5)  # the slope of |w x + 9| is x, of length 5
    plain = ZAQ.student_loss(quantizer, codes.weights(), FeatureMaps(net, x), x, theirs)
    assert plain.item() == pytest.approx(float((w * x).sum()) + 9)


@pytest.mark.parametrize(("setting", "bound"), [("iterations", 1), ("steps", 1), ("batch", 2), ("relations", 0)])
def test_settings_have_a_least_value(setting, bound):
    with pytest.raises(ConfigError, match=f"{setting} must be at least {bound}, got {bound - 1}"):
        ZAQ(**{setting: bound - 1})


@pytest.mark.parametrize("setting", ["lr", "generator_lr", "rho"])
def test_rates_and_radius_are_positive(setting):
    with pytest.raises(ConfigError, match=f"{setting} must be above 0, got 0"):
        ZSAQ(**{setting: 0})
