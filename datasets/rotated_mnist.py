"""RotatedMNIST as in DomainBed: 70,000 digits, shuffled, dealt out over the angles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..core.errors import ConfigError
from ..core.repeats import refuse_repeats
from .base import Domain, DomainDataset
from .fingerprint import content_fingerprint
from .mnist import read_mnist, shuffled
from .severity import check_severity

ANGLES = (0, 15, 30, 45, 60, 75)


def rotate(images: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Rotate (N, H, W) counter-clockwise, bilinear, black outside: torchvision's ``rotate`` on PIL images."""
    turn = Image.Resampling.BILINEAR
    return np.stack([np.asarray(Image.fromarray(i).rotate(degrees, turn, fillcolor=0)) for i in images])


def load_rotated_mnist(
    name: str,
    *,
    root: Path | None,
    cache_dir: Path | None = None,
    size: int = 28,
    angles: Sequence[float] = ANGLES,
    order_seed: int = 0,
    severity: float = 1.0,
) -> DomainDataset:
    """Build the domains in memory, 55 MB; ``cache_dir`` is not used.

    DomainBed shuffles with torch's global generator, so which digit lands in which domain differs between its
    runs. Here the assignment is part of the data set and follows from ``order_seed`` alone.

    Args:
        name: of the data set.
        root: folder that holds MNIST/raw.
        cache_dir: ignored.
        size: 28, DomainBed's.
        angles: degrees, one domain each, at least two, all different.
        order_seed: of the shuffle.
        severity: factor of the angles, above 0 and at most 4.

    Returns:
        Domains named after the angles, uint8 (N, 1, 28, 28), mean 0 and std 1: DomainBed does not normalise.

    Raises:
        DataError: MNIST is missing or damaged, or fewer than two angles.
        ConfigError: another size, or an angle twice.
    """
    if size != 28:
        raise ConfigError(f"rotated MNIST keeps MNIST's 28 pixels, got {size}; write size: 28")
    check_severity(severity, most=4)
    angles = [severity * angle for angle in angles]
    names = [f"{angle:g}" for angle in angles]
    refuse_repeats("dataset.angles", names, lambda angle: f"{float(angle) % 360:g}")
    images, labels = read_mnist(root)
    order = shuffled(len(images), order_seed)
    domains = []
    for k, angle in enumerate(angles):
        mine = order[k :: len(angles)]
        domains.append(Domain(names[k], rotate(images[mine], angle)[:, None], labels[mine]))
    return DomainDataset(
        name, tuple(domains), tuple("0123456789"), content_fingerprint(domains), mean=(0.0,), std=(1.0,)
    )
