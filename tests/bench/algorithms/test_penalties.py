"""Losses against closed forms and against autograd."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quantdg.bench.algorithms.fishr import Fishr, gradient_variance
from quantdg.bench.algorithms.groupdro import GroupDRO
from quantdg.bench.algorithms.irm import IRM, irm_penalty, scale_gradient
from quantdg.bench.algorithms.mmd import BANDWIDTHS, MMD, mmd_penalty
from quantdg.bench.algorithms.rsc import RSC, below_quantile
from quantdg.bench.algorithms.sd import SD
from quantdg.bench.algorithms.vrex import VREx
from quantdg.bench.models.base import DGModel
from quantdg.core.errors import ConfigError

CLASSES = 4


def network(width=3, classes=CLASSES):
    torch.manual_seed(0)
    return DGModel(nn.Flatten(), width, classes)


def sgd(params):
    return torch.optim.SGD(params, lr=0.1)


def vectors(*sizes, classes=CLASSES):
    generator = torch.Generator().manual_seed(1)
    return [
        (torch.randn(n, 3, generator=generator), torch.randint(0, classes, (n,), generator=generator)) for n in sizes
    ]


def number(value):
    return float(value.detach())


def test_irm_penalty_of_two_classes_is_the_closed_form_of_the_sigmoid():
    o, y = torch.tensor([0.3, -1.2, 2.0, 0.1]), torch.tensor([1, 0, 0, 1])
    expected = float(((o.sigmoid() - y) * o).mean() ** 2)
    logits = torch.stack([torch.zeros_like(o), o], 1)
    assert number(irm_penalty(logits, y, "square")) == pytest.approx(expected, rel=1e-6)


def test_irm_gradient_equals_autograd_also_for_mixed_labels():
    logits, y = torch.randn(6, CLASSES, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 1, 2, 3, 0, 1])
    for labels in (y, 0.3 * F.one_hot(y, CLASSES) + 0.7 * F.one_hot(y.flip(0), CLASSES)):
        w = torch.ones((), requires_grad=True)
        (expected,) = torch.autograd.grad(F.cross_entropy(w * logits, labels), w)
        assert number(scale_gradient(logits, labels)) == pytest.approx(float(expected), rel=1e-5)


def test_irm_penalty_is_the_product_of_both_halves_and_may_be_negative():
    logits = torch.tensor([[0.0, 2.0], [0.0, 2.0]])
    even, odd = scale_gradient(logits[:1], torch.tensor([1])), scale_gradient(logits[1:], torch.tensor([0]))
    penalty = irm_penalty(logits, torch.tensor([1, 0]), "even_odd")
    assert number(penalty) == pytest.approx(number(even * odd))
    assert number(penalty) < 0


def test_vrex_is_the_population_variance_and_0_for_equal_risks():
    a, b = vectors(4, 4)
    terms = VREx(network(), 2, sgd).losses([a, a])
    assert number(terms["penalty"]) == 0
    algorithm = VREx(network(), 2, sgd)
    risks = [number(F.cross_entropy(algorithm.predict(x), y)) for x, y in (a, b)]
    mean = sum(risks) / 2
    assert number(algorithm.losses([a, b])["penalty"]) == pytest.approx(
        sum((r - mean) ** 2 for r in risks) / 2, rel=1e-4
    )


@pytest.mark.parametrize(("kind", "early"), [(IRM, 1.0), (VREx, 1.0), (Fishr, 0.0)])
def test_the_weight_jumps_after_anneal_updates_and_the_moments_start_anew(kind, early):
    def adam(params):
        return torch.optim.Adam(params, lr=1e-3)

    algorithm = kind(network(), 2, adam, weight=7.0, anneal=2)
    weights, counts = [], []
    for _ in range(4):
        algorithm.update(vectors(4, 4))
        weights.append(algorithm.present_weight)
        counts.append(int(algorithm.optimizer.state[algorithm.network.classifier.weight]["step"]))
    assert weights == [early, early, 7.0, 7.0]
    assert counts == [1, 2, 1, 2]


def test_mmd_of_identical_batches_is_0_and_by_hand_for_two_points():
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    assert number(mmd_penalty([a, a])) == 0
    expected = 2 * len(BANDWIDTHS) - 2 * sum(math.exp(-2 * g) for g in BANDWIDTHS)
    assert number(mmd_penalty([a, b])) == pytest.approx(expected, rel=1e-5)
    assert number(mmd_penalty([a, a, b])) == pytest.approx(2 / 3 * expected, rel=1e-5)


def test_mmd_adds_gamma_times_the_penalty():
    data = vectors(4, 4)
    terms = MMD(network(), 2, sgd, gamma=2.0).losses(data)
    assert number(terms["loss"]) == pytest.approx(number(terms["risk"] + 2 * terms["penalty"]))
    with pytest.raises(ConfigError, match=r"algorithm.mmd.gamma must be at least 0"):
        MMD(network(), 2, sgd, gamma=-1.0)


def test_group_dro_weights_after_one_step():
    data = vectors(4, 4)
    algorithm = GroupDRO(network(), 2, sgd, eta=0.5)
    risks = [number(F.cross_entropy(algorithm.predict(x), y)) for x, y in data]
    q = torch.tensor([math.exp(0.5 * r) for r in risks])
    q /= q.sum()
    loss = algorithm.update(data)["loss"]
    assert algorithm.q.tolist() == pytest.approx(q.tolist(), rel=1e-6)
    assert loss == pytest.approx(float(q @ torch.tensor(risks)), rel=1e-6)
    assert "q" in algorithm.state_dict()


def test_fishr_variance_equals_per_sample_gradients():
    model, (x, y) = network(), vectors(5)[0]

    def loss(parameters, image, label):
        logits = torch.func.functional_call(model.classifier, parameters, image[None])
        return F.cross_entropy(logits, label[None])

    parameters = {n: p.detach() for n, p in model.classifier.named_parameters()}
    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(parameters, x, y)
    expected = torch.cat([gradients[n].flatten(1) for n in ("weight", "bias")], 1).var(0, correction=0)
    found = gradient_variance(x, model(x), y)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_fishr_averages_variances_and_corrects_their_gradient():
    data = vectors(4, 4)
    algorithm = Fishr(network(), 2, sgd, weight=1.0, anneal=0, decay=0.5)
    algorithm.begin_step()
    now = torch.stack([gradient_variance(x, algorithm.predict(x), y) for x, y in data]).detach()
    first = number(algorithm.losses(data)["penalty"])
    assert first == pytest.approx(float(now.var(0, correction=0).mean()), rel=1e-5)
    assert torch.allclose(algorithm.average, 0.5 * now)
    second = number(algorithm.losses(data)["penalty"])
    assert torch.allclose(algorithm.average, 0.75 * now)
    assert second == pytest.approx(first * 1.5**2, rel=1e-5)


def test_sd_adds_the_mean_squared_logit():
    algorithm, (batch,) = SD(network(), 1, sgd, weight=0.5), vectors(4)
    logits = algorithm.predict(batch[0])
    expected = F.cross_entropy(logits, batch[1]) + 0.5 * (logits**2).mean()
    assert number(algorithm.losses([batch])["loss"]) == pytest.approx(number(expected), rel=1e-6)


def test_rsc_mutes_the_features_that_the_true_class_leans_on_most():
    algorithm = RSC(network(width=3, classes=2), 1, sgd, drop_features=1 / 3, drop_examples=1.0)
    with torch.no_grad():
        algorithm.network.classifier.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]]))
        algorithm.network.classifier.bias.zero_()
    truth = torch.eye(2)
    mask = algorithm.mask(torch.ones(2, 3), truth)
    # gradient of the true logit is the weight row; its largest entry is at or above the 2/3 quantile
    assert mask.tolist() == [[1, 1, 0], [0, 1, 1]]
    algorithm.drop_examples = 0.5
    features = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])  # muting feature 0 changes nothing in the second
    assert algorithm.mask(features, truth).tolist() == [[1, 1, 0], [1, 1, 1]]


@pytest.mark.parametrize("width", [3, 4, 64, 100, 256, 512, 1024, 2048])
@pytest.mark.parametrize("share", [0.0, 0.2, 1 / 3, 0.5, 1.0])
def test_rsc_keeps_as_many_as_numpys_percentile_in_double_precision(width, share):
    x = torch.randn(5, width, generator=torch.Generator().manual_seed(width))
    kept = below_quantile(x, 1 - share)
    rank = Fraction(1, 3) if share == 1 / 3 else Fraction(str(share))
    ranks = (1 - rank) * (width - 1)  # exact: DomainBed's np.percentile meets a value where this is whole
    assert kept.sum(1).tolist() == [math.ceil(ranks)] * 5
    expected = np.percentile(x.double().numpy(), float(100 * (1 - rank)), axis=1, keepdims=True)
    if ranks.denominator > 1:
        assert kept.tolist() == (x.double().numpy() < expected).tolist()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (IRM, {"weight": -1.0}, "algorithm.irm needs weight and anneal of at least 0, got -1"),
        (VREx, {"anneal": -1}, "algorithm.vrex needs"),
        (Fishr, {"decay": 1.0}, "algorithm.fishr.decay must be at least 0 and below 1, got 1"),
        (GroupDRO, {"eta": -0.1}, "algorithm.groupdro.eta must be at least 0, got -0.1; DomainBed uses 0.01"),
        (SD, {"weight": -0.1}, "algorithm.sd.weight"),
        (RSC, {"drop_features": 1.5}, "between 0 and 1, got 1.5"),
    ],
)
def test_wrong_settings_are_answered_with_what_to_write(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        kind(network(), 2, sgd, **options)
