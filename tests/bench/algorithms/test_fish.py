"""Fish by hand: steps on one domain after another, and the share of the way."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quantdg.bench.algorithms.fish import Fish
from quantdg.bench.models.base import DGModel
from quantdg.core.errors import ConfigError


def network():
    torch.manual_seed(0)
    return DGModel(nn.Flatten(), 3, 2)


def batches(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 3, generator=generator), torch.randint(0, 2, (n,), generator=generator)) for n in sizes]


def test_an_update_is_half_of_what_a_clone_walks_with_its_own_adam():
    algorithm, data = Fish(network(), 3, lambda p: torch.optim.Adam(p, lr=0.1)), batches(4, 5, 6)
    clone = network()
    adam = torch.optim.Adam(clone.parameters(), lr=0.1)
    for _ in range(2):
        start = [p.detach().clone() for p in clone.parameters()]
        risks = []
        for x, y in data:
            adam.zero_grad()
            risks.append(F.cross_entropy(clone(x), y))
            risks[-1].backward()
            adam.step()
        with torch.no_grad():
            for p, before in zip(clone.parameters(), start, strict=True):
                p.copy_(before + 0.5 * (p - before))
        terms = algorithm.update(data)
        assert terms["loss"] == pytest.approx(float(sum(risks).detach()) / 3, rel=1e-6)
    for p, q in zip(algorithm.network.parameters(), clone.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6)


def test_the_second_order_part_aligns_gradients_as_the_paper_says():
    """Two steps of SGD at rate a: w - a (g1 + g2) + a^2 H2 g1, by hand for the quadratics of two domains."""

    class Quadratic(Fish):
        def losses(self, minibatches):
            (x, _), w = minibatches[0], self.network.classifier.weight
            return {"loss": (x * w.square()).sum() / 2}

    algorithm = Quadratic(network(), 2, lambda p: torch.optim.SGD(p, lr=0.1), meta_lr=1.0)
    nn.init.ones_(algorithm.network.classifier.weight)
    algorithm.update([(torch.tensor(2.0), None), (torch.tensor(3.0), None)])
    # w = 1, H = 2 and 3: 1 - .1 (2 + 3) + .01 * 3 * 2 = .56
    assert torch.allclose(algorithm.network.classifier.weight, torch.full((2, 3), 0.56))


@pytest.mark.parametrize("meta_lr", [0.0, 1.5])
def test_a_wrong_share_is_answered_with_what_to_write(meta_lr):
    with pytest.raises(ConfigError, match=rf"above 0 and at most 1, got {meta_lr}; DomainBed uses 0.5"):
        Fish(network(), 2, torch.optim.Adam, meta_lr=meta_lr)
