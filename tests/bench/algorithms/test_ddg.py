"""DDG's constraint and dual variable by hand, and what reaches its generator."""

from functools import partial

import pytest
import torch

from quantdg.bench.algorithms.ddg import DDG, normalised_maps, reconstruction
from quantdg.bench.models.convnet import convnet
from quantdg.core.errors import ConfigError
from tests.bench.algorithms.labelled_images import labelled_images

batches = partial(labelled_images, 9, 8)


def ddg(**options):
    torch.manual_seed(0)
    return DDG(convnet((3, 9, 8), 4, width=4), 2, lambda p: torch.optim.Adam(p, lr=1e-2), width=2, **options)


def told(algorithm, monkeypatch, *differences):
    """The algorithm with given reconstruction differences of its views."""
    given = iter(differences)
    monkeypatch.setattr("quantdg.bench.algorithms.ddg.reconstruction", lambda *_: torch.tensor(next(given)))
    return algorithm


def test_the_vector_of_the_reference(monkeypatch):
    """r = (.2, .5), m = .25: hinge mean .125; lambda .5 + .01 (.35 - .25) = .501, used at once."""
    algorithm = told(ddg(margin=0.25), monkeypatch, [0.2, 0.5], [0.2, 0.2])
    terms = algorithm.losses(batches(1, 1))
    assert float(algorithm.multiplier) == pytest.approx(0.501)
    assert float(terms["excess"]) == pytest.approx(0.125)
    rest = terms["risk"] + 12 * terms["consistency"]
    assert float((terms["loss"] - rest).detach()) == pytest.approx(0.501 * 0.125, abs=1e-6)


@pytest.mark.parametrize(("difference", "end"), [(90.0, 1.0), (0.0, 0.0)])
def test_the_dual_variable_stays_between_0_and_1(monkeypatch, difference, end):
    algorithm = told(ddg(margin=45.0, eta=1.0), monkeypatch, [difference], [difference])
    algorithm.losses(batches(1, 1))
    assert float(algorithm.multiplier) == end


def test_the_generator_sees_the_shape_in_grey_and_the_look_in_features_only():
    generator, (x, _) = ddg().generator, batches(3)[0]
    features = torch.randn(3, 16, generator=torch.Generator().manual_seed(2))
    made = generator(x, features)
    assert made.shape == x.shape
    assert torch.allclose(generator(x[:, [1, 2, 0]], features), made, atol=1e-6)  # the same grey image
    assert not torch.allclose(generator(x, features.flip(0)), made, atol=1e-3)
    maps = normalised_maps(x)
    assert torch.allclose(maps.mean((2, 3)), torch.zeros(3, 3), atol=1e-5)
    assert torch.allclose(maps.var((2, 3), correction=0), torch.ones(3, 3), atol=1e-3)
    expected = torch.stack([(a - b).abs().mean() for a, b in zip(made, x, strict=True)])
    assert torch.allclose(reconstruction(made, x), expected)


def test_reconstruction_trains_the_featurizer_and_improves():
    algorithm, data = ddg(weight=0.0, eta=0.0, multiplier=1.0), batches(6, 6)
    terms = algorithm.losses(data)
    (gradient,) = torch.autograd.grad(terms["excess"], algorithm.network.featurizer[0].weight)
    assert gradient.abs().sum() > 0
    first = [algorithm.update(data)["excess"] for _ in range(30)]
    assert sum(first[-5:]) < 0.7 * sum(first[:5])


def test_wrong_settings_are_answered_with_what_to_write():
    with pytest.raises(ConfigError, match=r"got 0.025, 0.01, 2 and 2; write 0.025, 0.01, 0.5 and 16"):
        ddg(multiplier=2)
