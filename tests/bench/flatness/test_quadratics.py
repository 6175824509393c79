"""On a quadratic every measure has a closed form."""

import math

import numpy as np
import pytest
import torch

from quantdg.bench.flatness.draws import signs, sphere
from quantdg.bench.flatness.hessian import top_eigenvalue, trace
from quantdg.bench.flatness.local import local_flatness
from quantdg.bench.flatness.sam import sam_sharpness

EIGENVALUES = np.array([5.0, 3.0, 1.0, 0.5, 0.25, 0.0])


def test_local_flatness_is_the_trace_over_twice_the_dimension(symmetric, quadratic):
    found = local_flatness({"a": quadratic(symmetric(EIGENVALUES))}, [0.5, 1.0, 2.0], 4000, seed=1)["a"]
    for gamma, mean, se in zip([0.5, 1.0, 2.0], found.mean, found.se, strict=True):
        exact = gamma**2 * EIGENVALUES.sum() / (2 * len(EIGENVALUES))
        assert abs(mean - exact) < 4 * se < 0.1 * exact
    assert found.loss == pytest.approx(1.0)


def test_the_standard_error_is_that_of_the_directions(symmetric, quadratic):
    matrix = symmetric(EIGENVALUES)
    found = local_flatness({"a": quadratic(matrix)}, [2.0], 7, seed=5)["a"]
    u = torch.cat(list(sphere(torch.zeros(6, dtype=torch.float64), 7, 3, 5)))
    rises = (2 * torch.einsum("ki,ij,kj->k", u, matrix, u)).numpy()
    assert found.mean[0] == pytest.approx(rises.mean(), rel=1e-6)
    assert found.se[0] == pytest.approx(rises.std(ddof=1) / math.sqrt(7), rel=1e-6)


def test_directions_are_unit_vectors_without_a_preferred_one():
    u = torch.cat(list(sphere(torch.zeros(5, dtype=torch.float64), 20_000, 999, 0)))
    assert torch.allclose(u.norm(dim=1), torch.ones(20_000, dtype=torch.float64), atol=1e-6)
    assert float(u.mean(0).abs().max()) < 4 / math.sqrt(5 * 20_000)
    assert torch.allclose(u.T @ u / 20_000, torch.eye(5, dtype=torch.float64) / 5, atol=0.01)


@pytest.mark.parametrize("draw", [sphere, signs])
def test_the_chunk_changes_no_draw_and_the_seed_does(draw):
    like = torch.zeros(7)
    whole = torch.cat(list(draw(like, 10, 10, 4)))
    for chunk in (1, 3, 64):
        assert torch.equal(torch.cat(list(draw(like, 10, chunk, 4))), whole)
    assert not torch.equal(torch.cat(list(draw(like, 10, 10, 5))), whole)


def test_draws_leave_the_global_generators_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(0)
    np.random.seed(0)
    list(sphere(torch.zeros(9), 3, 1, 0))
    list(signs(torch.zeros(9), 3, 1, 0))
    assert torch.equal(torch.rand(3), expected[0])
    assert (np.random.rand(3) == expected[1]).all()


@pytest.mark.parametrize("chunk", [1, 4])
def test_trace(symmetric, quadratic, chunk):
    found = trace(quadratic(symmetric(EIGENVALUES), chunk=chunk), 400, seed=0)
    assert abs(found.mean - EIGENVALUES.sum()) < 4 * found.se < 1.5
    diagonal = torch.diag(torch.from_numpy(EIGENVALUES))
    exact = trace(quadratic(diagonal, chunk=chunk), 2, seed=0)  # Hutchinson has no variance on a diagonal matrix
    assert (exact.mean, exact.se) == (pytest.approx(EIGENVALUES.sum()), pytest.approx(0, abs=1e-12))


@pytest.mark.parametrize(
    "eigenvalues, top",
    [
        ([5.0, 3.0, 1.0, 0.0], 5.0),
        ([-9.0, 2.0, 1.0, 0.0], 2.0),  # the largest, not the largest in magnitude
        ([-3.0, -2.0, -1.0, -0.5], -0.5),
    ],
)
def test_top_eigenvalue(symmetric, quadratic, eigenvalues, top):
    found = top_eigenvalue(quadratic(symmetric(eigenvalues)), 500, 1e-9, seed=0)
    assert found.value == pytest.approx(top, rel=1e-5)
    assert found.residual < 1e-3


def test_an_unfinished_power_iteration_says_so(symmetric, quadratic):
    found = top_eigenvalue(quadratic(symmetric([5.0, 4.9, 1.0, 0.0])), 2, 1e-9, seed=0)
    assert found.iterations == 2
    assert found.residual > 0.01


def test_a_flat_loss_has_no_curvature_and_no_sharpness(quadratic):
    flat = quadratic(torch.zeros(4, 4, dtype=torch.float64))
    assert top_eigenvalue(flat, 10, 1e-3, 0).value == 0
    assert sam_sharpness(flat, [0.1]) == (0.0,)
    assert local_flatness({"a": flat}, [1.0], 3, 0)["a"].mean == (0.0,)


def test_sam_is_the_rise_along_the_gradient(symmetric, quadratic):
    matrix = symmetric(EIGENVALUES)
    point = torch.linspace(-1, 1, 6, dtype=torch.float64)
    slope = torch.ones(6, dtype=torch.float64)
    objective = quadratic(matrix, point, slope)
    g = matrix @ point + slope
    assert torch.allclose(objective.gradient(), g)
    for rho, rise in zip((0.05, 0.5), sam_sharpness(objective, (0.05, 0.5)), strict=True):
        exact = rho * g.norm() + rho**2 * (g @ matrix @ g) / (2 * g @ g)
        assert rise == pytest.approx(float(exact), rel=1e-6)


def test_the_best_step_of_a_linear_loss_is_sams(quadratic):
    slope = torch.tensor([3.0, 4.0], dtype=torch.float64)
    linear = quadratic(torch.zeros(2, 2, dtype=torch.float64), slope=slope)
    assert sam_sharpness(linear, [0.1])[0] == pytest.approx(0.1 * 5)
