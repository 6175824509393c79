"""The GAN's losses by hand, who moves in which stage, and what the swapped images are."""

from functools import partial

import pytest
import torch
from torch import nn

from quantdg.bench.algorithms.ddg_gan import DDGGAN, Discriminator, deceiving, of_the_same_class, told_apart
from quantdg.bench.models.convnet import convnet
from quantdg.core.errors import ConfigError
from tests.bench.algorithms.labelled_images import labelled_images

batches = partial(labelled_images, 9, 8)


def made(**options):
    torch.manual_seed(0)
    return DDGGAN(convnet((3, 9, 8), 4, width=4), 2, lambda p: torch.optim.Adam(p, lr=1e-2), width=2, **options)


class Linear(nn.Module):
    """Judges an image of two pixels by 3 a + 4 b at one scale, by half of that at the other."""

    def forward(self, x):
        judged = x.flatten(1) @ torch.tensor([[3.0], [4.0]])
        return [judged, judged / 2]


def test_least_squares_and_the_penalty_on_the_gradient_by_hand():
    """Made (1, 0): 3 and 1.5; real (0, 1): 4 and 2; gradients (3, 4) and (1.5, 2)."""
    fake, real = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    expected = (9 + 9 + 0.01 * 25) + (2.25 + 1 + 0.01 * 6.25)
    assert told_apart(Linear(), fake, real).item() == pytest.approx(expected)
    assert float(deceiving(Linear(), fake)) == pytest.approx(2 * 4 + 2 * 0.25)


def test_the_discriminator_sees_full_and_half_size_without_a_dark_border():
    seen = []
    discriminator = Discriminator(3, 2)
    for scale in discriminator.scales:
        scale.register_forward_pre_hook(lambda _, images: seen.append(images[0]))
    maps = discriminator(torch.full((2, 3, 9, 8), 0.7))
    assert [tuple(x.shape[2:]) for x in seen] == [(9, 8), (5, 4)]
    assert torch.allclose(seen[1], torch.tensor(0.7))
    assert [tuple(m.shape) for m in maps] == [(2, 1, 3, 2), (2, 1, 2, 1)]


def test_partners_have_the_same_class_and_every_one_is_drawn():
    torch.manual_seed(0)
    y = torch.tensor([0, 1, 0, 2, 0])
    assert (y[of_the_same_class(torch.eye(3)[y] + 0.1)] == y).all()
    drawn = torch.stack([of_the_same_class(y) for _ in range(60)])
    assert (y[drawn] == y).all()
    assert set(drawn[:, 0].tolist()) == {0, 2, 4}
    assert (drawn[:, 3] == 3).all()


def test_first_generator_and_discriminator_move_then_network_and_generator():
    algorithm, data = made(gan_steps=2), batches(5, 5)
    players = {name: getattr(algorithm, name) for name in ("network", "generator", "discriminator")}
    moved = []
    for _ in range(3):
        before = {name: nn.utils.parameters_to_vector(p.parameters()).clone() for name, p in players.items()}
        algorithm.update(data)
        moved.append(
            {n for n, p in players.items() if (nn.utils.parameters_to_vector(p.parameters()) != before[n]).any()}
        )
    assert moved == [{"generator", "discriminator"}] * 2 + [{"network", "generator"}]


def test_the_constraint_and_its_multiplier_are_those_of_the_reference(monkeypatch):
    """r = (.2, .5), m = .25: hinge mean .125; lambda .5 + .01 (.35 - .25) = .501, used at once."""
    monkeypatch.setattr("quantdg.bench.algorithms.ddg_gan.reconstruction", lambda *_: torch.tensor([0.2, 0.5]))
    algorithm = made()
    terms = algorithm.losses(batches(1, 1))
    assert float(algorithm.multiplier) == pytest.approx(0.501)
    rest = terms["risk"] + 0.5 * terms["swapped"]
    assert float((terms["loss"] - rest).detach()) == pytest.approx(0.501 * 0.125, abs=1e-6)


def test_swapped_images_keep_the_label_of_the_content_and_train_no_generator():
    algorithm, (x, y) = made(), batches(6)[0]
    terms = algorithm.losses([(x, y)])
    into = torch.autograd.grad(
        terms["swapped"], list(algorithm.generator.parameters()), allow_unused=True, retain_graph=True
    )
    assert all(gradient is None for gradient in into)
    algorithm.generator.forward = lambda images, look: images  # a swap that changes nothing
    terms = algorithm.losses([(x, y)])
    expected = nn.functional.cross_entropy(algorithm.predict(x), y)
    assert float(terms["swapped"].detach()) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_the_cycle_enters_after_a_fifth_of_the_first_stage_and_leads_back():
    """With a generator that adds the look's first number, x'' = x + look of the partner + look of what was made."""
    algorithm, (x, _) = made(gan_steps=10), batches(4)[0]
    algorithm.generator.forward = lambda images, look: images + look[:, :1, None, None]
    partner, weights = torch.tensor([1, 2, 3, 0]), []
    with torch.no_grad():
        features = algorithm.network.featurizer(x)
        swapped = x + features[partner][:, :1, None, None]
        look = algorithm.network.featurizer(swapped)[[3, 0, 1, 2]]  # image 3 was given the look of image 0
        back = (features[partner][:, 0] + look[:, 0]).abs().mean()
        for updates in (1, 2, 3, 10):
            algorithm.now = updates
            terms = algorithm.generated(x, features, partner)
            weights.append(float((terms["loss"] - terms["deceived"] - 0.5 * terms["rebuilt"]) / back))
    assert weights == pytest.approx([0, 0, 0.005, 0.04], abs=1e-4)


def test_the_generator_learns_to_rebuild():
    algorithm, data = made(gan_steps=60), batches(6, 6)
    rebuilt = [float(algorithm.update(data)["rebuilt"]) for _ in range(60)]
    assert sum(rebuilt[-5:]) < 0.8 * sum(rebuilt[:5])


def test_wrong_settings_are_answered_with_what_to_write():
    with pytest.raises(ConfigError, match=r"got -1, 0.25, 0.01, 0.5 and 2; write 20, "):
        made(gan_steps=-1)
