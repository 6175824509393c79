"""Mixup and MixStyle against their equations, and that they stay out of evaluation."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quantdg.bench.algorithms.erm import ERM
from quantdg.bench.models.base import DGModel
from quantdg.bench.models.convnet import convnet
from quantdg.bench.models.mnist_cnn import mnist_cnn
from quantdg.bench.transforms.mixstyle import MixStyle, mix_styles, partners
from quantdg.bench.transforms.mixup import Mixup
from quantdg.bench.transforms.mixup_x import MixupX
from quantdg.core.errors import ConfigError, UnknownNameError


def sgd(params):
    return torch.optim.SGD(params, lr=0.1)


def erm(domains=3, network=None):
    torch.manual_seed(0)
    return ERM(network or DGModel(nn.Flatten(), 3, 4), domains, sgd)


def vectors(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 3, generator=generator), torch.randint(0, 4, (n,), generator=generator)) for n in sizes]


class Draw:
    """Stands in for the Beta distribution."""

    def __init__(self, value):
        self.value = value

    def __call__(self, *_):
        return self

    def sample(self, shape):
        return torch.full(shape, self.value)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_mixup_at_the_ends_is_erm(monkeypatch, weight):
    monkeypatch.setattr(torch.distributions, "Beta", Draw(weight))
    plain, mixed, data = erm(), erm(), vectors(4, 4, 4)
    mixed.add_transform(Mixup())
    assert float(mixed.update(data)["loss"]) == pytest.approx(float(plain.update(data)["loss"]), rel=1e-6)
    assert torch.allclose(plain.network.classifier.weight, mixed.network.classifier.weight, atol=1e-7)


def test_mixup_is_the_weighted_sum_of_both_cross_entropies(monkeypatch):
    monkeypatch.setattr(torch.distributions, "Beta", Draw(0.3))
    algorithm, data = erm(2), vectors(5, 3)
    algorithm.add_transform(Mixup())
    out = algorithm.transforms[0](data)
    assert [len(x) for x, _ in out] == [3, 3]
    (x, y), (x2, y2) = ((a[:3], b[:3]) for a, b in data)
    logits = algorithm.predict(0.3 * x + 0.7 * x2), algorithm.predict(0.3 * x2 + 0.7 * x)
    expected = [
        0.3 * F.cross_entropy(logits[0], y) + 0.7 * F.cross_entropy(logits[0], y2),
        0.3 * F.cross_entropy(logits[1], y2) + 0.7 * F.cross_entropy(logits[1], y),
    ]
    found = algorithm.losses(out)["loss"]
    assert float(found.detach()) == pytest.approx(float(sum(expected).detach()) / 2, rel=1e-6)


def test_mixup_pairs_each_domain_once_with_another():
    algorithm = erm()
    algorithm.add_transform(Mixup(alpha=1.0))
    marked = [(torch.full((2, 3), 10.0**d), torch.full((2,), d)) for d in range(3)]
    torch.manual_seed(5)
    sums = torch.stack([y[0] for _, y in algorithm.transforms[0](marked)])
    assert torch.allclose(sums.sum(1), torch.ones(3))
    assert ((sums > 0).sum(1) == 2).all()
    assert ((sums[:, :3] > 0).sum(0) == 2).all()
    assert float(marked[1][0][0, 0]) == 10.0


def test_mixup_needs_two_domains():
    with pytest.raises(ConfigError, match="Mixup needs 2 source domains, there are 1"):
        erm(1).add_transform(Mixup())


@pytest.mark.parametrize(("drawn", "weight", "share"), [(1.0, 1.2, 1.0), (0.0, -0.2, 0.0), (0.5, 0.5, 0.5)])
def test_mixup_x_extrapolates_images_and_cuts_labels(monkeypatch, drawn, weight, share):
    """The largest draw of a = 0.2: x = 1.2 x1 - 0.2 x2 with the label of x1."""
    transform, data = (
        MixupX(),
        [(torch.full((2, 3), 1.0), torch.tensor([0, 1])), (torch.zeros(2, 3), torch.tensor([2, 3]))],
    )
    transform.attach(erm().network)
    monkeypatch.setattr(torch, "randperm", torch.arange)
    monkeypatch.setattr(torch, "rand", lambda n: torch.full((n,), drawn))
    (x, y), (x2, _) = transform(data)
    assert torch.allclose(x, torch.full((2, 3), weight))
    assert torch.allclose(x2, torch.full((2, 3), 1 - weight))
    assert torch.allclose(y[0], torch.tensor([share, 0, 1 - share, 0]))


def test_mixup_x_draws_uniformly_from_its_range():
    transform = MixupX(reach=0.5)
    transform.attach(erm().network)
    torch.manual_seed(0)
    one = [(torch.full((1, 1), float(d == 0)), torch.tensor([0])) for d in range(2)]
    drawn = torch.cat([x for _ in range(500) for x, _ in transform(one)])
    assert float(drawn.min()) < -0.48
    assert float(drawn.max()) > 1.48
    assert float(drawn.var()) == pytest.approx(4 / 12, rel=0.1)


def test_mixstyle_by_hand():
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0]).view(2, 1, 1, 1)
    partner = torch.tensor([1, 0])
    assert torch.allclose(mix_styles(x, torch.ones(2, 1, 1, 1), partner), x, atol=1e-4)
    swapped = mix_styles(x, torch.zeros(2, 1, 1, 1), partner)
    assert torch.allclose(swapped.mean((2, 3)), x.mean((2, 3)).flip(0), atol=1e-4)
    assert torch.allclose(swapped.var((2, 3)), x.var((2, 3)).flip(0), rtol=1e-3)


def test_mixstyle_statistics_carry_no_gradient():
    x = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight, partner = torch.full((2, 1, 1, 1), 0.25), torch.tensor([1, 0])
    mix_styles(x, weight, partner).sum().backward()
    sigma = (x.detach().var((2, 3)) + 1e-6).sqrt().flatten()
    expected = (0.25 * sigma + 0.75 * sigma.flip(0)) / sigma
    assert torch.allclose(x.grad[:, 0, 0, 0], expected, rtol=1e-5)


def test_partners_across_domains_come_from_the_other_half():
    index = partners(8, "crossdomain")
    assert set(index[:4].tolist()) == {4, 5, 6, 7}
    assert set(index[4:].tolist()) == {0, 1, 2, 3}
    assert sorted(partners(7, "crossdomain").tolist()) == list(range(7))


@pytest.mark.parametrize("build", [convnet, mnist_cnn])
def test_mixstyle_acts_in_training_only_and_keeps_the_state_dict(build):
    network = build((1, 8, 8), 4)
    algorithm = erm(2, network)
    keys, x = list(network.state_dict()), torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network.eval()
    expected = network(x)
    algorithm.add_transform(MixStyle(p=1.0, alpha=1.0))
    assert torch.equal(network(x), expected)
    assert list(network.state_dict()) == keys
    for name in network.stages:
        network.featurizer.get_submodule(name).train()
    assert not torch.allclose(network(x), expected, atol=1e-4)


def test_mixstyle_of_probability_0_changes_nothing():
    network = convnet((1, 8, 8), 4)
    x = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = network(x)
    erm(2, network).add_transform(MixStyle(p=0.0))
    assert torch.equal(network(x), expected)


def test_mixstyle_says_where_it_cannot_be_placed():
    with pytest.raises(ConfigError, match="this network names none; write for example"):
        erm().add_transform(MixStyle())
    with pytest.raises(UnknownNameError, match="no layer of the featurizer named 'layer1'"):
        erm(2, convnet((1, 8, 8), 4)).add_transform(MixStyle(layers=["layer1"]))
    flat = erm(2, convnet((1, 8, 8), 4))
    flat.add_transform(MixStyle(layers=["10"]))
    with pytest.raises(ConfigError, match=r"feature maps \(N, C, H, W\), got shape \(2, 64\)"):
        flat.network(torch.zeros(2, 1, 8, 8))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Mixup, {"alpha": 0.0}, "transform.mixup.alpha must be above 0, got 0.0; DomainBed uses 0.2"),
        (MixupX, {"reach": -1.0}, "transform.mixup_x.reach must be at least 0, got -1.0; write for example 0.2"),
        (MixStyle, {"p": 1.5}, "p from 0 to 1 and alpha above 0, got 1.5 and 0.1"),
    ],
)
def test_wrong_settings_are_answered_with_what_to_write(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        kind(**options)
