"""SAM on a quadratic, and what its second pass leaves alone."""

import pytest
import torch
from torch import nn

from quantdg.bench.algorithms.base import Algorithm
from quantdg.bench.models.base import DGModel
from quantdg.bench.step_rules.sam import SAM
from quantdg.core.errors import ConfigError

CURVATURE = torch.tensor([[1.0, 4.0]])


class Quadratic(Algorithm):
    """L = 1/2 sum curvature w^2 + 1/2 c s^2 with a quantizer parameter s."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(DGModel(nn.Flatten(), 2, 1), 1, lambda params: torch.optim.SGD(params, lr=0.1))
        with torch.no_grad():
            self.network.classifier.weight.copy_(torch.tensor([[3.0, 1.0]]))
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.add_quantizer_group({"params": [self.scale], "lr": 0.1})
        self.seen = []

    def losses(self, minibatches):
        w = self.network.classifier.weight
        self.seen.append((w.detach().clone(), self.scale.detach().clone()))
        return {"loss": 0.5 * (CURVATURE * w.square()).sum() + 0.5 * self.scale.square()}


def test_the_perturbation_is_rho_times_the_unit_gradient_of_the_weights_alone():
    algorithm = Quadratic()
    algorithm.rule = SAM(rho=0.5)
    w = algorithm.network.classifier.weight.detach().clone()
    loss = algorithm.update([])["loss"]
    e = 0.5 * torch.tensor([[3.0, 4.0]]) / 5  # g = curvature * w = (3, 4), |g| = 5
    (first, s), (second, s2) = algorithm.seen
    assert torch.equal(first, w)
    assert torch.allclose(second - w, e)
    assert float(s) == float(s2) == 2.0
    assert torch.allclose(algorithm.network.classifier.weight, w - 0.1 * CURVATURE * (w + e))
    assert float(algorithm.scale.detach()) == pytest.approx(2.0 - 0.1 * 2.0)
    assert loss == pytest.approx(0.5 * (9 + 4 + 4))


def test_quantizer_parameters_are_perturbed_only_where_asked():
    algorithm = Quadratic()
    algorithm.rule = SAM(rho=0.5, perturb_quantizer=True)
    algorithm.update([])
    norm = (9 + 16 + 4) ** 0.5
    assert float(algorithm.seen[1][1]) == pytest.approx(2 + 0.5 * 2 / norm)


def test_the_weights_come_back_bit_for_bit_where_the_second_pass_fails():
    algorithm = Quadratic()
    algorithm.rule = SAM(rho=1e30)
    before = algorithm.network.classifier.weight.detach().clone()
    with pytest.raises(Exception, match="training loss is inf"):
        algorithm.update([])
    assert torch.equal(algorithm.network.classifier.weight, before)


def test_a_radius_must_be_positive():
    with pytest.raises(ConfigError, match=r"step_rule.rho must be above 0, got 0.0; the paper uses 0.05"):
        SAM(rho=0.0)
