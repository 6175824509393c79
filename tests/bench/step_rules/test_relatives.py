"""SAGM, SAQ and the l1 gradient penalty against numbers worked out by hand, and against each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from quantdg.bench.algorithms.base import Algorithm
from quantdg.bench.models.base import DGModel
from quantdg.bench.step_rules.base import Plain, StepRule
from quantdg.bench.step_rules.gradient_l1 import GradientL1
from quantdg.bench.step_rules.sagm import SAGM
from quantdg.bench.step_rules.sam import SAM
from quantdg.bench.step_rules.saq import SAQ
from quantdg.core.errors import ConfigError
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.round_freeze import RoundFreeze
from quantdg.quantizers.spec import QuantSpec

RATE = 0.1


class Problem(Algorithm):
    """A loss of two weights, which it notes at every pass; a quantizer may be put on them."""

    def __init__(self, start: list[float], loss: Any, rule: StepRule) -> None:
        network = DGModel(nn.Flatten(), 2, 1)
        with torch.no_grad():
            network.classifier.weight.copy_(torch.tensor([start]))
        super().__init__(network, 1, lambda params: torch.optim.SGD(params, lr=RATE))
        self.rule, self.loss = rule, loss
        self.seen: list[Tensor] = []

    @property
    def latent(self) -> Tensor:
        return self.network.classifier._parameters["weight"].detach()  # type: ignore[union-attr]

    def losses(self, minibatches: Any) -> dict[str, Tensor]:
        w = self.network.classifier.weight[0]
        self.seen.append(w.detach().clone())
        return {"loss": self.loss(w)}

    def used(self) -> Tensor:
        """The gradient that the optimizer stepped with."""
        before = self.latent.clone()
        self.update([])
        return ((before - self.latent) / RATE)[0]


def quadratic(w: Tensor) -> Tensor:
    return 0.5 * (w[0] ** 2 + 3 * w[1] ** 2)


def test_sagm_by_hand() -> None:
    problem = Problem([1.0, -1.0], quadratic, SAGM(rho=0.1, alpha=0.01))
    used = problem.used()
    e = problem.seen[1] - problem.seen[0]
    assert e.tolist() == pytest.approx([0.0216228, -0.0648683], abs=1e-6)
    assert used.tolist() == pytest.approx([1.0108114, -3.0973025], abs=1e-5)


def test_sagm_without_a_perturbation_is_the_plain_step() -> None:
    start = [1.0, -1.0]
    gradient = 10**0.5
    same = Problem(start, quadratic, SAGM(rho=0.1, alpha=0.1 / gradient)).used()  # rho / |g| = alpha
    assert same.tolist() == pytest.approx(Problem(start, quadratic, Plain()).used().tolist(), abs=1e-5)


def residual(w: Tensor) -> Tensor:
    return 0.5 * (3 * w[0] - w[1]) ** 2


@pytest.mark.parametrize(("weight", "radius"), [(1.0, 0.1), (0.5, 0.2), (0.01, 10.0)])
def test_gradient_l1_is_the_penalty_exactly_on_a_quadratic(weight: float, radius: float) -> None:
    # g = (3, -1), grad |g|_1 = r |x|_1 x = (12, -4); lam = weight * radius = .1 in all three
    used = Problem([1.0, 2.0], residual, GradientL1(radius=radius, weight=weight)).used()
    assert used.tolist() == pytest.approx([4.2, -1.4], abs=1e-4)


def test_gradient_l1_is_the_double_backward_of_a_logistic_loss_to_first_order() -> None:
    def logistic(w: Tensor) -> Tensor:
        return torch.log1p(torch.exp(-(w[0] + 0.5 * w[1] ** 2)))

    w = torch.tensor([0.2, -0.4], requires_grad=True)
    (g,) = torch.autograd.grad(logistic(w), w, create_graph=True)
    (penalty,) = torch.autograd.grad(g.abs().sum(), w)
    lam = 1e-3
    used = Problem([0.2, -0.4], logistic, GradientL1(radius=lam)).used()
    assert used.tolist() == pytest.approx((g.detach() + lam * penalty).tolist(), abs=1e-4)


def test_the_radius_of_a_width_is_half_the_scale_of_its_widest_grid() -> None:
    problem = Problem([1.0, -2.0], quadratic, GradientL1(bits=4))
    problem.update([])
    assert (problem.seen[1] - problem.seen[0]).tolist() == pytest.approx([2 / 15, -2 / 15])


def quantized(rule: StepRule, kind: type = LSQ) -> Problem:
    problem = Problem([0.6, -1.2], quadratic, rule)
    quantizer = kind(QuantSpec(weight_bits=3, granularity="per_tensor", rules=()))
    quantizer.prepare(problem.network, torch.zeros(1, 2))
    quant = problem.network.classifier.weight_quant
    scale = quant.step_size.data if kind is LSQ else quant.scale
    scale.fill_(1.0)
    for group in quantizer.param_groups(problem.network, RATE):
        problem.add_quantizer_group(group)
    return problem


def test_saq_perturbs_the_quantized_weight_by_hand() -> None:
    problem = quantized(SAQ(rho=0.1))
    used = problem.used()
    assert problem.seen[0].tolist() == [1, -1]
    assert (problem.seen[1] - problem.seen[0]).tolist() == pytest.approx([0.0316228, -0.0948683], abs=1e-6)
    assert used.tolist() == pytest.approx([1.0316228, -3.2846050], abs=1e-4)


def test_sam_on_the_latent_weight_rounds_its_perturbation_away() -> None:
    problem = quantized(SAM(rho=0.1))
    used = problem.used()
    assert problem.seen[1].tolist() == problem.seen[0].tolist() == [1, -1]
    assert used.tolist() == pytest.approx([1, -3])


def test_saq_leaves_no_hook_and_no_trace_behind() -> None:
    problem = quantized(SAQ(rho=0.1))
    quant = problem.network.classifier.weight_quant
    problem.update([])
    assert not quant._forward_hooks
    latent, scale = problem.latent.clone(), quant.step_size.detach().clone()
    problem.rule = SAQ(rho=1e30)
    with pytest.raises(Exception, match="training loss is inf"):
        problem.update([])
    assert not quant._forward_hooks
    assert torch.equal(problem.latent, latent)
    assert torch.equal(quant.step_size.detach(), scale)


def test_saq_in_a_float_network_is_sam() -> None:
    start = [1.0, -1.0]
    assert torch.equal(Problem(start, quadratic, SAQ(rho=0.3)).used(), Problem(start, quadratic, SAM(rho=0.3)).used())


def test_saq_perturbs_frozen_weights_too() -> None:
    problem = quantized(SAQ(rho=0.1), RoundFreeze)
    bias = problem.network.classifier.bias
    problem.loss = lambda w: quadratic(w) + bias.square().sum()
    with torch.no_grad():
        bias.fill_(0.5)
    problem.update([])
    assert (problem.seen[1] - problem.seen[0]).tolist() == pytest.approx(
        [0.1 * 1 / 11**0.5, -0.1 * 3 / 11**0.5], abs=1e-6
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SAGM(alpha=-1), "alpha at least 0, got 0.05 and -1"),
        (lambda: SAQ(rho=0), "step_rule.rho must be above 0, got 0"),
        (lambda: GradientL1(radius=0), "step_rule.radius must be above 0"),
        (lambda: GradientL1(weight=2), "weight above 0 to 1, got 0.001 and 2"),
        (lambda: GradientL1(bits=9), "bits must be null or from 2 to 8, got 9"),
    ],
)
def test_what_they_refuse(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
