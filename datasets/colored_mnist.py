"""ColoredMNIST, in DomainBed's version and in that of the IRM paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError
from ..core.repeats import refuse_repeats
from .base import Domain, DomainDataset
from .fingerprint import content_fingerprint
from .mnist import colour, read_mnist, shuffled
from .severity import check_severity

CLASSES = ("5-9", "0-4")
_BLACK = ((0.0, 0.0), (1.0, 1.0))  # mean and std: neither code base normalises


def _environment_name(flip: float) -> str:
    """plus90 where colour and label agree in 90 % of the images, minus90 where they disagree in 90 %."""
    agree = round(100 * (1 - flip))
    return f"plus{agree}" if agree >= 50 else f"minus{100 - agree}"


def _distances(flips: Sequence[float], severity: float) -> list[float]:
    """Move the rates towards a coin's 0.5, where colour says nothing, or away from it."""
    strongest = max([abs(2 * flip - 1) for flip in flips], default=1.0)
    check_severity(severity, most=max(1.0, 1 / strongest) if strongest else 1.0)
    return [round(severity * flip + (1 - severity) * 0.5, 12) for flip in flips]


def _build(
    name: str,
    parts: Sequence[tuple[NDArray[np.uint8], NDArray[np.int64]]],
    flips: Sequence[float],
    noise: float,
    seed: int,
) -> DomainDataset:
    if len(flips) < 2:
        raise ConfigError(f"flips needs at least two rates, one domain each, got {list(flips)}; write [0.1, 0.9]")
    refuse_repeats("dataset.flips", flips, _environment_name)
    names = [_environment_name(flip) for flip in flips]
    pairs = [
        colour(i, k, flip, noise, seed=seed, env_index=e)
        for e, ((i, k), flip) in enumerate(zip(parts, flips, strict=True))
    ]
    domains = tuple(Domain(n, images, labels) for n, (images, labels) in zip(names, pairs, strict=True))
    return DomainDataset(name, domains, CLASSES, content_fingerprint(domains), *_BLACK)


def load_colored_mnist(
    name: str,
    *,
    root: Path | None,
    cache_dir: Path | None = None,
    size: int = 28,
    flips: Sequence[float] = (0.1, 0.2, 0.9),
    label_noise: float = 0.25,
    order_seed: int = 0,
    severity: float = 1.0,
) -> DomainDataset:
    """Build DomainBed's version: 70,000 digits, shuffled, dealt out over the flip rates.

    DomainBed draws shuffle and coins from torch's global generator; here they follow from ``order_seed``.

    Args:
        name: of the data set.
        root: folder that holds MNIST/raw.
        cache_dir: ignored.
        size: 28.
        flips: probability that colour and label disagree, one domain each.
        label_noise: probability that the label is wrong.
        order_seed: of the shuffle and the coins.
        severity: factor of what lies between each flip rate and a coin's 0.5; above 0, up to a rate of 0 or 1.

    Returns:
        Domains plus90, plus80, minus90, uint8 (N, 2, 28, 28), two classes, mean 0 and std 1.

    Raises:
        DataError: MNIST is missing or damaged.
        ConfigError: another size, a probability out of range, a flip rate twice.
    """
    if size != 28:
        raise ConfigError(f"DomainBed's coloured MNIST keeps MNIST's 28 pixels, got {size}; write size: 28")
    flips = _distances(flips, severity)
    images, digits = read_mnist(root)
    order = shuffled(len(images), order_seed)
    parts = [(images[mine], digits[mine]) for mine in (order[k :: len(flips)] for k in range(len(flips)))]
    return _build(name, parts, flips, label_noise, seed=order_seed)


def load_colored_mnist_irm(
    name: str,
    *,
    root: Path | None,
    cache_dir: Path | None = None,
    size: int = 14,
    flips: Sequence[float] = (0.2, 0.1, 0.9),
    label_noise: float = 0.25,
    order_seed: int = 0,
    severity: float = 1.0,
) -> DomainDataset:
    """Build the IRM paper's version: every second pixel, 50,000 digits dealt out, the last 10,000 for the last.

    Only MNIST's training set is used (facebookresearch/InvariantRiskMinimization@fc185d0). Arguments, errors and
    result as ``load_colored_mnist``, but domains plus80, plus90, minus90 with 25,000, 25,000 and 10,000 images of
    2x14x14; hold out minus90 for the published protocol.

    Args:
        name: as for `load_colored_mnist`.
        root: as for `load_colored_mnist`.
        cache_dir: as for `load_colored_mnist`.
        size: only 14, pixels.
        flips: probability that colour and label disagree, one domain each.
        label_noise: probability that the label is wrong.
        order_seed: of the shuffle and the coins.
        severity: factor of what lies between each flip rate and a coin's 0.5; above 0, up to a rate of 0 or 1.
    """
    if size != 14:
        raise ConfigError(f"the IRM paper's coloured MNIST has 14 pixels, got {size}; write size: 14")
    flips = _distances(flips, severity)
    images, digits = read_mnist(root, test=False)
    images = images[:, ::2, ::2]
    order = shuffled(len(images), order_seed)
    train, held_out = order[: len(order) * 5 // 6], order[len(order) * 5 // 6 :]
    sources = len(flips) - 1
    hands = [*(train[k::sources] for k in range(sources)), held_out]
    return _build(name, [(images[mine], digits[mine]) for mine in hands], flips, label_noise, seed=order_seed)
