"""On a linear softmax classifier the Hessian and the tangent kernel can be written down."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from quantdg.bench.flatness.draws import sphere
from quantdg.bench.flatness.hessian import top_eigenvalue, trace
from quantdg.bench.flatness.iic import log_det, tangent_kernel
from quantdg.bench.flatness.local import local_flatness
from quantdg.bench.flatness.network import float_names, logits_of_one, objective

CHUNKS = [1, 5]


def whole(softmax, chunk, cut=5):
    network, x, y, _ = softmax
    batches = [(x[:cut], y[:cut]), (x[cut:], y[cut:])]
    return objective(network, float_names(network), [batches], chunk)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_trace_and_top_eigenvalue(softmax, chunk):
    hessian = softmax[3]
    loss = whole(softmax, chunk)
    found = trace(loss, 2000, seed=0)
    assert abs(found.mean - float(hessian.trace())) < 4 * found.se < 0.1 * float(hessian.trace())
    top = top_eigenvalue(loss, 300, 1e-10, seed=0)
    assert top.value == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-5)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_hessian_times_every_unit_vector_is_the_hessian(softmax, chunk):
    found = whole(softmax, chunk).hessian_times(torch.eye(15, dtype=torch.float64))
    spectrum, exact = torch.linalg.eigvalsh(found), torch.linalg.eigvalsh(softmax[3])
    assert torch.allclose(found, found.T)
    assert torch.allclose(spectrum, exact, atol=1e-10)


def test_local_flatness_is_that_of_a_naive_loop(softmax):
    network, x, y, _ = softmax
    gammas, seed = [0.3, 1.0], 11
    loss = F.cross_entropy(network(x), y).detach()
    start = [p.detach().clone() for p in network.parameters()]
    found = {chunk: local_flatness({"a": whole(softmax, chunk)}, gammas, 6, seed)["a"] for chunk in CHUNKS}
    rises = torch.zeros(2, 6, dtype=torch.float64)
    for k, u in enumerate(torch.cat(list(sphere(whole(softmax, 1).point, 6, 1, seed)))):
        for g, gamma in enumerate(gammas):
            with torch.no_grad():
                for p, p0, d in zip(network.parameters(), start, u.split([12, 3]), strict=True):
                    p.copy_(p0 + gamma * d.reshape(p.shape))
                rises[g, k] = F.cross_entropy(network(x), y) - loss
    for result in found.values():
        assert result.mean == pytest.approx(rises.mean(1).tolist(), rel=1e-9)
        assert result.loss == pytest.approx(float(loss))


def test_domains_count_the_same_whatever_their_size(softmax):
    network, x, y, _ = softmax
    big, small = [(x[:9], y[:9])], [(x[9:], y[9:])]
    names = float_names(network)
    both = objective(network, names, [big, small]).value()
    apart = [objective(network, names, [d]).value() for d in (big, small)]
    assert both == pytest.approx(sum(apart) / 2)
    assert both != pytest.approx(objective(network, names, [big + small]).value(), rel=1e-3)


@pytest.mark.parametrize("chunk, block_bytes", [(1, 2**28), (5, 2**28), (4, 1)])
def test_tangent_kernel_is_that_of_the_features(softmax, chunk, block_bytes):
    network, x, _, _ = softmax
    params = {n: p.detach() for n, p in network.named_parameters()}
    found = tangent_kernel(partial(logits_of_one, network), params, x[:3], chunk, block_bytes)
    z = torch.cat([x[:3].flatten(1), torch.ones(3, 1, dtype=torch.float64)], dim=1)
    assert torch.allclose(found, torch.kron(z @ z.T, torch.eye(3, dtype=torch.float64)))


def test_log_det():
    values = torch.tensor([4.0, 2.0, 1.0, 0.5], dtype=torch.float64)
    found = log_det(torch.diag(values))
    assert found.value == pytest.approx(float(values.log().mean()), abs=1e-5)
    assert (found.rank, found.rows) == (4, 4)
    singular = log_det(torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64)))
    assert singular.rank == 1
    assert singular.value == pytest.approx(float(torch.tensor([1 + 5e-7, 5e-7], dtype=torch.float64).log().mean()))
