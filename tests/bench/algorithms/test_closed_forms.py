"""Analytical checks of the losses."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quantdg.bench.algorithms.coral import CORAL, coral_penalty, moments
from quantdg.bench.algorithms.erm import ERM
from quantdg.bench.models.base import DGModel
from quantdg.core.errors import ConfigError, DivergedError


def network(width=3, classes=2):
    torch.manual_seed(0)
    return DGModel(nn.Flatten(), width, classes)


def adam(params):
    return torch.optim.Adam(params, lr=0.1)


def batches(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 3, generator=generator), torch.randint(0, 2, (n,), generator=generator)) for n in sizes]


def test_erm_is_the_mean_of_the_domain_risks():
    algorithm, data = ERM(network(), 2, adam), batches(4, 4)
    risks = [F.cross_entropy(algorithm.predict(x), y) for x, y in data]
    assert float(algorithm.losses(data)["loss"].detach()) == pytest.approx(float(sum(risks).detach()) / 2, rel=1e-6)


def test_moments_by_hand():
    mean, covariance = moments(torch.tensor([[0.0, 0.0], [2.0, 4.0]]))
    assert mean.tolist() == [1, 2]
    assert covariance.tolist() == [[2, 4], [4, 8]]


def test_coral_penalty_by_hand():
    a = torch.tensor([[0.0, 0.0], [2.0, 4.0]])
    b = torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    # means differ by (1, 1): 1; covariances [[2,4],[4,8]] - [[0,0],[0,2]]: (4+16+16+36)/4 = 18
    assert float(coral_penalty([a, b])) == pytest.approx(19)
    assert float(coral_penalty([a, a, a])) == 0
    assert float(coral_penalty([a, a, b])) == pytest.approx(2 * 19 / 3)


def test_coral_penalty_of_two_gaussians():
    """Means (0, 0) and (1, 2): (1 + 4) / 2; covariances diag(1, 1) and [[4, 1], [1, 1]]: (9 + 1 + 1 + 0) / 4."""
    draws = torch.randn(2, 200_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    root = torch.linalg.cholesky(torch.tensor([[4.0, 1.0], [1.0, 1.0]], dtype=torch.float64))
    other = draws[1] @ root.T + torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert float(coral_penalty([draws[0], other])) == pytest.approx(2.5 + 2.75, rel=0.02)


def test_coral_adds_gamma_times_the_penalty():
    data = batches(4, 4)
    terms = CORAL(network(), 2, adam, gamma=3.0).losses(data)
    assert float(terms["loss"].detach()) == pytest.approx(float((terms["risk"] + 3 * terms["penalty"]).detach()))
    assert float(CORAL(network(), 2, adam, gamma=0.0).losses(data)["loss"].detach()) == pytest.approx(
        float(ERM(network(), 2, adam).losses(data)["loss"].detach())
    )
    with pytest.raises(ConfigError, match=r"at least 0, got -1"):
        CORAL(network(), 2, adam, gamma=-1)


def test_the_quantizers_penalty_is_part_of_what_is_minimised():
    algorithm = ERM(network(), 2, adam)
    extra = nn.Parameter(torch.tensor(2.0))
    algorithm.optimizer.add_param_group({"params": [extra]})
    algorithm.penalty = extra.square
    algorithm.update(batches(4, 4))
    assert extra.grad is not None
    assert float(extra.grad) == 4.0


def test_a_loss_that_is_not_finite_stops_with_a_reason():
    algorithm = ERM(network(), 2, adam)
    before = algorithm.network.classifier.weight.clone()
    with pytest.raises(DivergedError, match="training loss is nan"):
        algorithm.update([(torch.full((2, 3), float("nan")), torch.tensor([0, 1]))])
    assert torch.equal(before, algorithm.network.classifier.weight)
