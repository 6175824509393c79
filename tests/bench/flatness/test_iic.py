"""The information criterion against closed forms: diagonal Jacobians, minimum-norm fits, the evidence of a linear model."""

import math

import pytest
import torch

from quantdg.bench.flatness.iic import criterion, half_squared_distance, log_det, tangent_kernel


def of_linear_model(x, w, start=None):
    """The criterion of x @ w as logits of one class each, float64."""
    logits = lambda params, row: row @ params["w"]
    kernel = tangent_kernel(lambda p, row: logits(p, row)[None], {"w": w}, x)
    start = torch.zeros_like(w) if start is None else start
    return criterion(log_det(kernel), half_squared_distance({"w": w}, {"w": start}))


def fit(x, y):
    """The weights of least norm that interpolate."""
    return x.T @ torch.linalg.solve(x @ x.T, y)


def test_a_diagonal_jacobian():
    """J = diag(3, 4), w = (1, 1): log 1 + log(144) / 2 - log 2 = log 6."""
    found = of_linear_model(torch.diag(torch.tensor([3.0, 4.0])).double(), torch.ones(2).double())
    assert found.log_distance == pytest.approx(0, abs=1e-12)
    assert found.log_det == pytest.approx(math.log(144) / 2, abs=1e-5)  # the floor of 1e-6
    assert found.log_rows == -math.log(2)
    assert found.value == pytest.approx(1.7917595, abs=1e-5)
    assert (found.rank, found.rows) == (2, 2)


@pytest.mark.parametrize("factor", [1.0, 0.01, 300.0])
def test_one_example_whatever_its_scale(factor):
    """x = (3, 4), y = 10: R = 2, K = 25, log 50; scaling x leaves R K and the criterion alone."""
    x, y = factor * torch.tensor([[3.0, 4.0]]).double(), torch.tensor([10.0]).double()
    assert of_linear_model(x, fit(x, y)).value == pytest.approx(math.log(50), abs=1e-5)


def test_the_criterion_is_the_evidence_of_a_linear_model_and_knows_no_order():
    """2 / N times -log N(y | 0, s K) at its best s = y' K^-1 y / N."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(5, n, generator=generator, dtype=torch.float64) for n in (12, 1))
    y = y[:, 0]
    kernel = x @ x.T
    scale = y @ torch.linalg.solve(kernel, y) / 5
    normal = torch.distributions.MultivariateNormal(torch.zeros(5).double(), scale * kernel)
    evidence = -2 / 5 * float(normal.log_prob(y))
    found = of_linear_model(x, fit(x, y))
    assert found.value + 1 + math.log(4 * math.pi) == pytest.approx(evidence, abs=1e-4)
    order = torch.tensor([3, 1, 4, 0, 2])
    assert of_linear_model(x[order], fit(x[order], y[order])).value == pytest.approx(found.value, abs=1e-10)


def test_a_missing_rank_and_weights_that_never_moved_are_said():
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]).double()
    found = of_linear_model(x, torch.ones(2).double())
    assert (found.rank, found.rows) == (2, 3)
    still = of_linear_model(x, torch.ones(2).double(), start=torch.ones(2).double())
    assert still.log_distance == still.value == -math.inf
