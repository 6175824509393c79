"""The built-in digits: real, dealt out once, the same bytes everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from quantdg.core.errors import ConfigError
from quantdg.datasets.digits import STYLES, _deal, load_digits_domains

FINGERPRINT = "30a0ea857ab65937"


def test_same_bytes_on_every_build() -> None:
    """Pinned: a change makes another data set and old results incomparable."""
    first = load_digits_domains()
    np.random.seed(1)
    second = load_digits_domains()
    assert first.fingerprint == second.fingerprint == FINGERPRINT
    assert load_digits_domains(size=12).fingerprint != FINGERPRINT


def test_shape_and_classes() -> None:
    data = load_digits_domains(size=20)
    assert data.shape == (3, 20, 20)
    assert data.classes == tuple("0123456789")
    assert [d.name for d in data.domains] == ["faint", "rotated", "inverted", "coloured", "thick"]
    assert sum(len(d.labels) for d in data.domains) == 1797
    for domain in data.domains:
        assert domain.images.dtype == np.uint8
        assert domain.labels.dtype == np.int64
        assert len(domain.images) == len(domain.labels)
        counts = np.bincount(domain.labels, minlength=10)
        assert counts.min() >= 34
        assert counts.max() <= 37


def test_no_digit_is_in_two_domains() -> None:
    labels = load_digits().target.astype(np.int64)
    hands = _deal(labels, len(STYLES))
    assert sorted(np.concatenate(hands)) == list(range(1797))


def test_handwriting_is_the_source() -> None:
    """The gray styles show the digit they were dealt: strong correlation with the source at 8x8."""
    source = load_digits()
    mine = _deal(source.target.astype(np.int64), len(STYLES))[4]
    thick = next(d for d in load_digits_domains(16).domains if d.name == "thick")
    small = thick.images[:, 0].reshape(-1, 8, 2, 8, 2).mean((2, 4)).reshape(len(mine), -1)
    wanted = source.images[mine].reshape(len(mine), -1)
    matches = [np.corrcoef(a, b)[0, 1] for a, b in zip(small, wanted, strict=True)]
    strangers = [np.corrcoef(a, b)[0, 1] for a, b in zip(small, wanted[::-1], strict=True)]
    assert np.median(matches) > 0.6
    assert np.median(matches) > np.median(strangers) + 0.2


def test_styles_differ_as_named() -> None:
    by_name = {d.name: d.images.astype(float) for d in load_digits_domains().domains}
    ground = {name: images[:, :, 0, :].mean() for name, images in by_name.items()}
    assert ground["inverted"] > 120
    assert ground["faint"] < 20
    assert by_name["faint"].max() < 215
    assert by_name["rotated"].max() > 240
    assert by_name["thick"].mean() > 1.2 * by_name["rotated"].mean()
    spread = by_name["coloured"].max(axis=1) - by_name["coloured"].min(axis=1)
    assert spread.mean() > 40
    assert np.ptp(by_name["thick"], axis=1).max() == 0


@pytest.mark.parametrize("size", [7, 65, 0])
def test_size_out_of_range(size: int) -> None:
    with pytest.raises(ConfigError, match=f"got {size}"):
        load_digits_domains(size)
