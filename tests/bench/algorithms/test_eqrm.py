"""EQRM's quantile against scipy's root finder and finite differences; its rates and moments at the switch."""

import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch import nn

from quantdg.bench.algorithms.eqrm import EQRM, kernel_quantile
from quantdg.bench.models.base import DGModel
from quantdg.core.errors import ConfigError


def reference(risks, alpha):
    width = 1.06 * risks.std(ddof=1) * len(risks) ** -0.2
    return brentq(lambda q: norm.cdf((q - risks) / width).mean() - alpha, -100, 100, xtol=1e-14)


@pytest.mark.parametrize("alpha", [0.5, 0.75, 0.99])
@pytest.mark.parametrize("risks", [(0.2, 0.9), (0.1, 0.5, 2.0), (1.0, 1.0, 1.0, 1.5)])
def test_the_quantile_and_its_gradient_are_those_of_the_kernel_estimate(risks, alpha):
    values = torch.tensor(risks, dtype=torch.float64, requires_grad=True)
    found = kernel_quantile(values, alpha)
    assert float(found.detach()) == pytest.approx(reference(values.detach().numpy(), alpha), abs=1e-10)
    (gradient,) = torch.autograd.grad(found, values)
    for d in range(len(risks)):
        shift = torch.zeros(len(risks), dtype=torch.float64)
        shift[d] = 1e-6
        ends = [reference((values.detach() + sign * shift).numpy(), alpha) for sign in (1, -1)]
        assert float(gradient[d]) == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)
    assert float(gradient.sum()) == pytest.approx(1, abs=1e-9)  # all risks up by 1, the quantile too


def test_the_median_of_symmetric_risks_is_their_centre_and_equal_risks_are_their_own_quantile():
    assert float(kernel_quantile(torch.tensor([1.0, 2.0, 3.0]), 0.5)) == pytest.approx(2, abs=1e-6)
    equal = torch.full((3,), 0.7, requires_grad=True)
    found = kernel_quantile(equal, 0.9)
    found.backward()
    assert float(found.detach()) == pytest.approx(0.7)
    assert torch.allclose(equal.grad, torch.full((3,), 1 / 3))


def trained(steps, **options):
    torch.manual_seed(0)
    algorithm = EQRM(DGModel(nn.Flatten(), 3, 2), 2, lambda p: torch.optim.Adam(p, lr=0.1), **options)
    algorithm.add_quantizer_group({"params": [nn.Parameter(torch.ones(()))], "lr": 0.01})
    generator = torch.Generator().manual_seed(1)
    data = [(torch.randn(4, 3, generator=generator), torch.randint(0, 2, (4,), generator=generator)) for _ in range(2)]
    seen = []
    for step in range(1, steps + 1):
        algorithm.set_rates(step, steps)
        terms = algorithm.update(data)
        adam = algorithm.optimizer.state[algorithm.network.classifier.weight]["step"]
        seen.append(([g["lr"] for g in algorithm.optimizer.param_groups], int(adam), terms["loss"] == terms["risk"]))
    return seen


def test_after_the_burn_in_the_rate_is_the_second_one_and_the_moments_start_anew():
    assert trained(4, burn_in=2, lr=1e-3) == [
        ([0.1, 0.01], 1, True),
        ([0.1, 0.01], 2, True),
        ([pytest.approx(1e-3), pytest.approx(1e-4)], 1, False),
        ([pytest.approx(1e-3), pytest.approx(1e-4)], 2, False),
    ]


def test_wrong_settings_are_answered_with_what_to_write():
    with pytest.raises(ConfigError, match=r"got 1\.0, 0 and 1e-06; DomainBed uses 0\.75, 2500 and 1e-6"):
        trained(0, quantile=1.0, burn_in=0)
