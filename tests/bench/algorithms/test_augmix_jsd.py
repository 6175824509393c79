"""The consistency loss by hand, and what the views are."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from quantdg.bench.algorithms.augmix_jsd import AugMixJSD, jensen_shannon
from quantdg.bench.models.convnet import convnet
from quantdg.bench.training.float_phase import build
from quantdg.core.errors import ConfigError
from tests.bench.algorithms.labelled_images import labelled_images

batches = partial(labelled_images, 8, 8)

ZERO, ONE = torch.tensor([[90.0, 0.0]]), torch.tensor([[0.0, 90.0]])


def algorithm(**options):
    torch.manual_seed(0)
    return AugMixJSD(convnet((3, 8, 8), 4, width=4), 2, lambda p: torch.optim.Adam(p, lr=1e-2), **options)


def test_the_divergence_by_hand():
    assert float(jensen_shannon([ZERO, ZERO, ZERO])) == pytest.approx(0, abs=1e-6)
    # one-hot p, p, q: M = (2/3, 1/3), (2 ln 1.5 + ln 3) / 3 = .6365142, times 12 = 7.6381700
    found = float(jensen_shannon([ZERO, ZERO, ONE]))
    assert found == pytest.approx((2 * math.log(1.5) + math.log(3)) / 3, rel=1e-6)
    assert 12 * found == pytest.approx(7.63817, rel=1e-6)
    assert float(jensen_shannon([torch.cat([ZERO, ONE])] * 2 + [torch.cat([ONE, ONE])])) == pytest.approx(found / 2)


def test_the_divergence_equals_torchs_kl_of_each_view_to_the_mixture():
    logits = list(torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)))
    mixture = torch.stack([z.softmax(1) for z in logits]).mean(0).log()
    expected = sum(F.kl_div(mixture, z.softmax(1), reduction="batchmean") for z in logits) / 3
    assert float(jensen_shannon(logits)) == pytest.approx(float(expected), rel=1e-5)


def test_the_loss_is_the_clean_risk_and_twelve_divergences(monkeypatch):
    found, data = algorithm(), batches(4, 4)
    views = iter([torch.roll(x, 1, 3) for x, _ in data] + [x.flip(3) for x, _ in data])
    monkeypatch.setattr(found, "view", lambda _: next(views))
    terms = found.losses(data)
    x, y = torch.cat([x for x, _ in data]), torch.cat([y for _, y in data])
    z = found.network(torch.cat([x, torch.roll(x, 1, 3), x.flip(3)])).chunk(3)
    assert float(terms["risk"].detach()) == pytest.approx(float(F.cross_entropy(z[0], y).detach()), rel=1e-5)
    expected = terms["risk"] + 12 * jensen_shannon(list(z))
    assert float(terms["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_views_are_of_the_pixels_whatever_the_normalisation():
    (x, _), raw, normal = batches(5)[0], algorithm(), algorithm()
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    raw.statistics, normal.statistics = ((0.0,) * 3, (1.0,) * 3), (mean.flatten().tolist(), std.flatten().tolist())
    torch.manual_seed(3)
    view = raw.view(x)
    torch.manual_seed(3)
    assert torch.allclose(normal.view((x - mean) / std), (view - mean) / std, atol=1e-5)
    assert view.min() >= 0
    assert view.max() <= 1
    assert not torch.allclose(view, x, atol=0.1)


def test_the_harness_hands_over_the_statistics_of_the_images(cell):
    chosen, data = cell("algorithm=augmix_jsd")
    assert build(chosen.group, data).statistics == (data.inputs.mean, data.inputs.std)


def test_wrong_settings_and_images_are_answered_with_what_to_write():
    with pytest.raises(ConfigError, match=r"got 12.0, 11 and 3; the paper uses 12, 3 and 3"):
        algorithm(severity=11)
    with pytest.raises(ConfigError, match="1 or 3 channels, these have 2"):
        algorithm().view(torch.zeros(1, 2, 8, 8))
