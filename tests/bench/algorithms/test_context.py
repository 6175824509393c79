"""MTL and ARM: the context in training by hand, and that evaluation has source context only."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quantdg.bench.algorithms.arm import ARM, shared
from quantdg.bench.algorithms.mtl import MTL
from quantdg.bench.models.base import DGModel
from quantdg.bench.models.convnet import convnet
from quantdg.core.errors import ConfigError


def adam(params):
    return torch.optim.Adam(params, lr=1e-2)


def vectors(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 3, generator=generator), torch.randint(0, 2, (n,), generator=generator)) for n in sizes]


def images(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 3, 8, 8, generator=generator), torch.randint(0, 4, (n,), generator=generator)) for n in sizes
    ]


def mtl(**options):
    torch.manual_seed(0)
    return MTL(DGModel(nn.Flatten(), 3, 2), 2, adam, **options)


def arm(**options):
    torch.manual_seed(0)
    return ARM(convnet((3, 8, 8), 4, width=4), 2, adam, width=2, **options)


def test_mtl_is_the_classifier_on_the_concatenation_up_to_its_bias():
    """DomainBed's form with weight (W V) and bias b - V mean(e); the first averages are 0.9 of the batch's means."""
    algorithm, data = mtl(ema=0.9), vectors(4, 6)
    means = torch.stack([x.mean(0) for x, _ in data]) * 0.9
    head, v = algorithm.network.classifier, algorithm.context.weight
    joint, bias = torch.cat([head.weight, v], 1), head.bias - means.mean(0) @ v.T
    rows = torch.cat([torch.cat([x, e.expand(len(x), -1)], 1) for (x, _), e in zip(data, means, strict=True)])
    expected = F.cross_entropy(F.linear(rows, joint, bias), torch.cat([y for _, y in data]))
    assert float(algorithm.losses(data)["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert torch.allclose(algorithm.embeddings, means)
    algorithm.losses(data)
    assert torch.allclose(algorithm.embeddings, means * 1.1)  # 0.9 m + 0.1 * 0.9 m


def test_arm_averages_the_context_over_support_sets_of_one_domain():
    rows = torch.arange(6.0)[:, None]
    assert shared(rows, 2).flatten().tolist() == [0.5, 0.5, 2.5, 2.5, 4.5, 4.5]
    assert shared(rows, 4).flatten().tolist() == [2.5] * 6
    algorithm, data = arm(support=2), images(4, 6)
    contexts = [c for x, _ in data for part in x.split(2) for c in [algorithm.context(part).mean(0)] * 2]
    contexts = torch.stack(contexts)
    x = torch.cat([x for x, _ in data]) + contexts - contexts.mean(0)
    expected = F.cross_entropy(algorithm.network(x), torch.cat([y for _, y in data]))
    assert float(algorithm.losses(data)["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.parametrize(("build", "data"), [(mtl, vectors), (arm, images)])
def test_a_prediction_depends_on_its_own_image_alone_and_is_the_networks(build, data):
    algorithm, batches = build(), data(8, 8)
    algorithm.update(batches)
    algorithm.eval()
    x = batches[0][0]
    assert torch.equal(algorithm.predict(x), algorithm.network(x))
    alone = torch.cat([algorithm.predict(row[None]) for row in x])
    assert torch.allclose(algorithm.predict(x), alone, atol=1e-6)


def test_equal_domains_leave_no_context():
    (batch,) = vectors(4)
    algorithm = mtl()
    plain = F.cross_entropy(algorithm.network(batch[0]), batch[1])
    assert float(algorithm.losses([batch, batch])["loss"].detach()) == pytest.approx(float(plain.detach()), rel=1e-6)


def test_wrong_settings_are_answered_with_what_to_write():
    with pytest.raises(ConfigError, match=r"above 0 and at most 1, got 0.0; DomainBed uses 0.99"):
        mtl(ema=0.0)
    with pytest.raises(ConfigError, match=r"got 0 and 2; DomainBed uses 8 and 64"):
        arm(support=0)
    with pytest.raises(ConfigError, match="this model has no convolution to learn their shape from; choose"):
        ARM(DGModel(nn.Flatten(), 3, 2), 2, adam)
