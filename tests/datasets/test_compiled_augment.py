"""The compiled pass over photographs against the operations one by one, and against itself without its compiler."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from quantdg.datasets import compiled_augment
from quantdg.datasets.augment import Augmentation, apply, augment, draw, get_augmentation, normalise

DOMAINBED = get_augmentation("domainbed")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
POLICIES = [
    DOMAINBED,
    Augmentation(crop=(0.3, 1.0), grayscale=0.5),
    Augmentation(flip=0.5, jitter=(0.9, 0.0, 0.9, 0.0)),
    Augmentation(jitter=(0.0, 0.9, 0.0, 0.5)),
    Augmentation(jitter=(0.9, 0.9, 0.9, 0.5)),
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, height: int, width: int) -> torch.Tensor:
    """Every colour, with a gray and a black corner, uint8."""
    images = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator())
    images[:, :, :3, :3] = images[:, :1, :3, :3]
    images[:, :, -2:, -2:] = 0
    return images


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (21, 40), (1, 5)])
def test_equals_the_operations_one_by_one(policy: Augmentation, height: int, width: int) -> None:
    images = noise(16, height, width)
    for seed in range(12):
        ours = augment(images, policy, generator(seed), *IMAGENET)
        draws = draw(policy, 16, height, width, generator(seed))
        assert (ours - normalise(apply(images, draws), *IMAGENET)).abs().max() < 1e-4


def test_an_image_does_not_depend_on_its_batch() -> None:
    images, draws = noise(11, 24, 24), draw(DOMAINBED, 11, 24, 24, generator(4))
    whole = compiled_augment.augment_photos(images, draws, *IMAGENET)
    for k in range(11):
        own = {name: getattr(draws, name)[k : k + 1] for name in ("rows", "columns", "factors", "gray")}
        assert torch.equal(
            compiled_augment.augment_photos(images[k : k + 1], dataclasses.replace(draws, **own), *IMAGENET)[0],
            whole[k],
        )


def digest() -> str:
    """Of eight images under each of the policies."""
    out, images = hashlib.sha256(), noise(8, 20, 20)
    for seed, policy in enumerate(POLICIES):
        out.update(augment(images, policy, generator(seed), *IMAGENET).numpy().tobytes())
    return out.hexdigest()


@pytest.mark.parametrize(
    "settings", [{"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, {"NUMBA_DISABLE_JIT": "1"}]
)
def test_bits_do_not_depend_on_the_processor_or_the_compiler(settings: dict[str, str]) -> None:
    """The same for instructions every x86-64 processor has, and for the Python source run as it is."""
    environment = {**os.environ, **settings}
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_compiled_augment; print(test_compiled_augment.digest())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest()
