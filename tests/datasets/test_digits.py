"""The built-in digits: real, dealt out once, the same bytes everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from quantdg.core.errors import ConfigError
from quantdg.datasets.digits import STYLES, _deal, load_digits_domains

FINGERPRINT = "756f25c2f5283c16"


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
    assert [d.name for d in data.domains] == [
        "faint",
        "rotated",
        "coloured",
        "thick",
        "noisy",
        "blurred",
        "shaded",
        "thin",
    ]
    assert sum(len(d.labels) for d in data.domains) == 1797
    for domain in data.domains:
        assert len(domain.labels) >= 224
        assert domain.images.dtype == np.uint8
        assert domain.labels.dtype == np.int64
        assert len(domain.images) == len(domain.labels)
        counts = np.bincount(domain.labels, minlength=10)
        assert counts.min() >= 21
        assert counts.max() <= 23


def test_no_digit_is_in_two_domains() -> None:
    labels = load_digits().target.astype(np.int64)
    hands = _deal(labels, len(STYLES))
    assert sorted(np.concatenate(hands)) == list(range(1797))


def test_handwriting_is_the_source() -> None:
    """The gray styles show the digit they were dealt: strong correlation with the source at 8x8."""
    source = load_digits()
    mine = _deal(source.target.astype(np.int64), len(STYLES))[3]
    thick = next(d for d in load_digits_domains(16).domains if d.name == "thick")
    small = thick.images[:, 0].reshape(-1, 8, 2, 8, 2).mean((2, 4)).reshape(len(mine), -1)
    wanted = source.images[mine].reshape(len(mine), -1)
    matches = [np.corrcoef(a, b)[0, 1] for a, b in zip(small, wanted, strict=True)]
    strangers = [np.corrcoef(a, b)[0, 1] for a, b in zip(small, wanted[::-1], strict=True)]
    assert np.median(matches) > 0.6
    assert np.median(matches) > np.median(strangers) + 0.2


def test_styles_differ_as_named() -> None:
    by_name = {d.name: d.images.astype(float) for d in load_digits_domains().domains}
    assert by_name["faint"].max() < 215
    assert by_name["rotated"].max() > 240
    ink = {name: images.mean() for name, images in by_name.items()}
    assert ink["thick"] > 1.2 * ink["rotated"] > 1.4 * ink["thin"]
    spread = by_name["coloured"].max(axis=1) - by_name["coloured"].min(axis=1)
    assert spread.mean() > 40
    for gray in set(by_name) - {"coloured"}:
        assert np.ptp(by_name[gray], axis=1).max() == 0
    edges = {name: np.abs(np.diff(images[:, 0], axis=2)).mean() for name, images in by_name.items()}
    assert edges["blurred"] < 0.7 * edges["rotated"]
    assert edges["noisy"] > 1.5 * edges["rotated"]
    corners = by_name["shaded"][:, 0, ::15, ::15].reshape(-1, 4)
    assert np.median(np.ptp(corners, axis=1)) > 120
    assert np.median(corners.argmax(1) + corners.argmin(1)) == 3


@pytest.mark.parametrize("size", [7, 65, 0])
def test_size_out_of_range(size: int) -> None:
    with pytest.raises(ConfigError, match=f"got {size}"):
        load_digits_domains(size)


def test_severity_scales_what_a_style_does() -> None:
    half, full, double = (
        {d.name: d.images.astype(float) for d in load_digits_domains(16, s).domains} for s in (0.5, 1, 2)
    )
    assert load_digits_domains(16, 1.0).fingerprint == FINGERPRINT
    ink = [by_name["faint"].max(axis=(1, 2, 3)).mean() for by_name in (half, full, double)]
    assert ink[0] > ink[1] + 40 > ink[2] + 80
    colour = [np.ptp(by_name["coloured"], axis=1).mean() for by_name in (half, full, double)]
    assert colour[0] == pytest.approx(colour[1] / 2, rel=0.02)
    assert colour[2] > 1.5 * colour[1]
    added = [by_name["thick"].mean() for by_name in (half, full, double)]
    assert added[0] < added[1] < added[2]
    taken = [by_name["thin"].mean() for by_name in (half, full, double)]
    assert taken[0] > taken[1] > taken[2]
    for name, rises in (("noisy", True), ("blurred", False)):
        edges = [np.abs(np.diff(by_name[name][:, 0], axis=2)).mean() for by_name in (half, full, double)]
        assert edges == sorted(edges, reverse=not rises)
    grounds = [np.median(by_name["shaded"][:, 0, ::15, ::15].max(axis=(1, 2))) for by_name in (half, full)]
    assert grounds[0] == pytest.approx(grounds[1] / 2, rel=0.02)


def test_severity_scales_the_angles() -> None:
    """Angle of the ink's principal axis against that of the upright digits, by moments."""

    def angles(images: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[:16, :16] - 7.5
        weights = images[:, 0].astype(float)
        total = weights.sum((1, 2))
        my, mx = (weights * y).sum((1, 2)) / total, (weights * x).sum((1, 2)) / total
        yy = (weights * y * y).sum((1, 2)) / total - my**2
        xx = (weights * x * x).sum((1, 2)) / total - mx**2
        xy = (weights * x * y).sum((1, 2)) / total - mx * my
        return np.rad2deg(np.arctan2(2 * xy, xx - yy) / 2)

    slight, half, full = (angles(load_digits_domains(16, s).domains[1].images) for s in (0.01, 0.5, 1))
    turned_half, turned_full = (((a - slight + 90) % 180 - 90) for a in (half, full))
    ones = load_digits_domains(16).domains[1].labels == 1
    assert abs(np.median(turned_full[ones])) == pytest.approx(17.5, abs=2)
    assert abs(np.median(turned_half[ones])) == pytest.approx(8.75, abs=2)


@pytest.mark.parametrize("severity", [0.0, -1.0, 2.1])
def test_severity_out_of_range(severity: float) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.severity lies above 0 and is at most 2 here"):
        load_digits_domains(16, severity)
