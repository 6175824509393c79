"""Algorithms with several players or passes: DANN, CDANN, SagNet, MLDG."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quantdg.bench.algorithms.cdann import CDANN, balanced_weights
from quantdg.bench.algorithms.dann import BETAS, DANN
from quantdg.bench.algorithms.mldg import MLDG
from quantdg.bench.algorithms.sagnet import SagNet, mix_style, swap_content
from quantdg.bench.models.base import DGModel
from quantdg.core.errors import ConfigError


def network():
    torch.manual_seed(0)
    return DGModel(nn.Sequential(nn.Flatten(), nn.Linear(3, 5)), 5, 2)


def vectors(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(n, 3, generator=generator), torch.randint(0, 2, (n,), generator=generator)) for n in sizes]


def adam(params):
    return torch.optim.Adam(params, lr=1e-2)


def values(module):
    return [p.detach().clone() for p in module.parameters()]


def same(module, before):
    return all(torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))


def test_dann_players_take_turns_and_leave_each_other_alone():
    algorithm = DANN(network(), 2, adam)
    for turn in ("network", "discriminator", "network", "discriminator"):
        before = {"network": values(algorithm.network), "discriminator": values(algorithm.discriminator)}
        algorithm.update(vectors(4, 4))
        still = {name: same(getattr(algorithm, name), old) for name, old in before.items()}
        assert still == {"network": turn != "network", "discriminator": turn != "discriminator"}


def test_dann_counts_discriminator_steps():
    algorithm = DANN(network(), 2, adam, d_steps=3)
    turns = []
    for _ in range(8):
        algorithm.begin_step()
        turns.append(algorithm.discriminates)
    assert turns == [True, True, False, True, True, True, False, True]


def test_dann_with_one_adam_equals_two_adams():
    algorithm, data = DANN(network(), 2, adam, weight=0.7), vectors(4, 4)
    other = DANN(network(), 2, adam)
    other.load_state_dict(algorithm.state_dict())
    x, y = torch.cat([b[0] for b in data]), torch.cat([b[1] for b in data])
    domains = torch.tensor([0] * 4 + [1] * 4)
    generator = torch.optim.Adam(other.network.parameters(), lr=1e-2, betas=BETAS)
    discriminator = torch.optim.Adam(other.discriminator.parameters(), lr=1e-2, betas=BETAS)
    for turn in range(4):
        algorithm.update(data)
        generator.zero_grad()
        discriminator.zero_grad()
        features = other.network.featurizer(x)
        confusion = F.cross_entropy(other.discriminator(features), domains)
        if turn % 2 == 0:
            (F.cross_entropy(other.network.classifier(features), y) - 0.7 * confusion).backward()
            generator.step()
        else:
            confusion.backward()
            discriminator.step()
    for (name, p), q in zip(algorithm.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-7), name


def test_dann_groups_added_later_get_the_adversarial_betas_too():
    algorithm = DANN(network(), 2, adam)
    algorithm.add_quantizer_group({"params": [nn.Parameter(torch.ones(()))]})
    assert {tuple(g["betas"]) for g in algorithm.optimizer.param_groups} == {BETAS}


def test_dann_gradient_penalty_is_the_squared_gradient_of_the_discriminator():
    algorithm, data = DANN(network(), 2, adam, gradient_penalty=3.0), vectors(4, 4)
    with torch.no_grad():
        features = algorithm.network.featurizer(torch.cat([x for x, _ in data]))
    plain = float(F.cross_entropy(algorithm.discriminator(features), torch.tensor([0] * 4 + [1] * 4)).detach())
    rows = []
    for row, domain in zip(features, [0] * 4 + [1] * 4, strict=True):
        leaf = row[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(algorithm.discriminator(leaf), torch.tensor([domain])), leaf)
        rows.append(float(gradient.square().sum()))
    total = float(algorithm.domain_losses(data)["loss"].detach())
    assert total == pytest.approx(plain + 3 * sum(rows) / 8, rel=1e-5)


def test_cdann_weighs_the_classes_of_a_batch_alike():
    truth = F.one_hot(torch.tensor([0, 0, 0, 2]), 4).float()
    assert torch.allclose(balanced_weights(truth), torch.tensor([1, 1, 1, 3]) / 6)
    soft = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.0, 1.0]])  # counts 1 and 2
    assert torch.allclose(balanced_weights(soft), torch.tensor([0.375, 0.375, 0.25]))


def test_cdann_judges_features_and_class_together_and_moves_the_embedding_with_the_discriminator():
    algorithm, data = CDANN(network(), 2, adam, weight=0.7), vectors(4, 5)
    x, y = (torch.cat([b[i] for b in data]) for i in (0, 1))
    domains, embedding = torch.tensor([0] * 4 + [1] * 5), algorithm.class_embeddings
    features = algorithm.network.featurizer(x)
    each = F.cross_entropy(algorithm.discriminator(features + embedding(y)), domains, reduction="none")
    balanced = sum(each[y == k].mean() for k in (0, 1)) / 2
    risk = F.cross_entropy(algorithm.network.classifier(features), y)
    assert float(algorithm.domain_losses(data)["loss"].detach()) == pytest.approx(float(balanced.detach()), rel=1e-6)
    terms = algorithm.losses(data)
    assert float(terms["loss"].detach()) == pytest.approx(float((risk - 0.7 * balanced).detach()), rel=1e-6)
    moved = []
    for _ in range(4):
        before = values(embedding)
        algorithm.update(data)
        moved.append(not same(embedding, before))
    assert moved == [False, True, False, True]


def test_sagnet_mixes_style_and_swaps_content():
    f = torch.tensor([[1.0, 3.0, 5.0], [10.0, 30.0, 20.0]])
    partner = torch.tensor([1, 0])
    assert torch.allclose(mix_style(f, torch.ones(2, 1), partner), f, atol=1e-4)
    swapped = mix_style(f, torch.zeros(2, 1), partner)
    assert torch.allclose(swapped.mean(1), f.mean(1).flip(0), atol=1e-4)
    assert torch.allclose(swapped.var(1), f.var(1).flip(0), rtol=1e-4)
    assert swapped[0].argsort().tolist() == [0, 1, 2]
    content = swap_content(f, partner)
    assert torch.allclose(content.mean(1), f.mean(1), atol=1e-4)
    assert content[0].argsort().tolist() == f[1].argsort().tolist()


def test_sagnet_featurizer_takes_two_steps_the_heads_one():
    algorithm = SagNet(network(), 2, adam)
    algorithm.update(vectors(4, 4))
    steps = {name: int(algorithm.optimizer.state[p]["step"]) for name, p in algorithm.named_parameters()}
    assert {n: s for n, s in steps.items() if n.endswith("weight")} == {
        "network.featurizer.1.weight": 2,
        "network.classifier.weight": 1,
        "style.weight": 1,
    }


@pytest.mark.parametrize("domains", [2, 3, 4, 5])
def test_mldg_pairs_every_training_domain_with_a_testing_one(domains):
    algorithm = MLDG(network(), domains, adam)
    torch.manual_seed(0)
    pairs = list(algorithm.pairs(vectors(*[2] * domains)))
    tested = min(2, domains - 1)
    assert len(pairs) == domains - tested
    assert not {i for i, _ in pairs} & {j for _, j in pairs}
    assert len({i for i, _ in pairs}) == len(pairs)


def test_mldg_gradient_equals_that_of_a_cloned_network():
    algorithm, data = MLDG(network(), 3, adam, beta=0.5), vectors(4, 4, 4)
    torch.manual_seed(3)
    ((i, j),) = algorithm.pairs(data)
    clone = network()
    inner = torch.optim.Adam(clone.parameters(), lr=1e-2)
    first = F.cross_entropy(clone(data[i][0]), data[i][1])
    first.backward()
    expected = [p.grad.clone() for p in clone.parameters()]
    inner.step()
    second = F.cross_entropy(clone(data[j][0]), data[j][1])
    for total, g in zip(expected, torch.autograd.grad(second, list(clone.parameters())), strict=True):
        total.add_(0.5 * g).div_(3)

    before = values(algorithm.network)
    torch.manual_seed(3)
    loss = algorithm.losses(data)["loss"]
    loss.backward()
    assert same(algorithm.network, before)
    assert float(loss.detach()) == pytest.approx(float((first + 0.5 * second).detach()) / 3, rel=1e-5)
    for p, g in zip(algorithm.network.parameters(), expected, strict=True):
        assert torch.allclose(p.grad, g, atol=1e-6)


def test_wrong_settings_are_answered_with_what_to_write():
    with pytest.raises(ConfigError, match=r"got -1.0, 0.0, 1 and 256; DomainBed uses 1, 0, 1 and 256"):
        DANN(network(), 2, adam, weight=-1.0)
    with pytest.raises(ConfigError, match=r"algorithm.sagnet.weight must be at least 0"):
        SagNet(network(), 2, adam, weight=-1.0)
    with pytest.raises(ConfigError, match=r"meta_test of at least 1, got 1\.0 and 0"):
        MLDG(network(), 2, adam, meta_test=0)
