"""Pre-trained weights from a safetensors file, loaded completely or not at all."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...core.errors import ConfigError, one_line
from ...core.paths import user_path

FOLDER = "QUANTDG_WEIGHTS"
SUFFIX = ".safetensors"
HEADS = ("fc", "classifier", "heads", "head")
"""Names that classifiers go by; a file may hold one or not, ours is new in any case."""
AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Names of the additional classifiers of GoogLeNet and Inception, which are left out."""
_SHOWN = 5
_LOADING = ContextVar("loading", default=True)


@contextmanager
def without_weights() -> Iterator[None]:
    """Let networks be built with fresh weights within the context: for a plan, and where stored ones follow."""
    token = _LOADING.set(False)
    try:
        yield
    finally:
        _LOADING.reset(token)


def loading() -> bool:
    """Return whether pre-trained weights are to be loaded."""
    return _LOADING.get()


def not_at_hand(weights: str, arch: str, places: str, error: Exception) -> ConfigError:
    """Make the error for weights of a package that are not on disk and cannot be downloaded, or are damaged."""
    return ConfigError(
        f"model.weights={weights} of {arch} must be on disk or downloadable, looked for {places} ({one_line(error)}); "
        f"run once with a network, copy the file there, or write model.weights=FILE.safetensors below {FOLDER}"
    )


def check_published(weights: str, arch: str, place: Path) -> None:
    """Raise ConfigError where a file in torch's cache is not the one of its name, which ends with digits of its SHA-256.

    torch checks a file once, after it has fetched it, and later unpickles whatever lies there.
    """
    digits = re.search(r"-([0-9a-f]{8,})\.pth?$", place.name)
    if digits is None or not place.is_file():
        return
    state = place.stat()
    found = _sha256(place, state.st_size, state.st_mtime_ns)
    if not found.startswith(digits.group(1)):
        raise ConfigError(
            f"model.weights={weights} of {arch} must be as published, {place} is damaged (its SHA-256 begins with {found[:8]}); "
            "remove it and run once with a network, copy a whole file there, or write model.weights=FILE.safetensors below "
            f"{FOLDER}"
        )


@lru_cache(maxsize=32)
def _sha256(place: Path, size: int, changed: int) -> str:
    """Hashed again only where size or time have changed: each cell builds its network anew."""
    return hashlib.sha256(place.read_bytes()).hexdigest()


def is_file(weights: str | None) -> bool:
    """Return whether ``weights`` names a file rather than weights of a package."""
    return weights is not None and weights.endswith(SUFFIX)


def find_weights(name: str) -> Path:
    """Find the file ``name``: as given, else below the folder QUANTDG_WEIGHTS; ConfigError where there is none."""
    given = user_path(name, "model.weights")
    folder = os.environ.get(FOLDER)
    places = [given, user_path(folder, FOLDER) / given] if folder else [given]
    for place in places:
        if place.is_file():
            return place
    looked = " or ".join(str(p) for p in places)
    raise ConfigError(
        f"model.weights must name an existing file, found none at {looked}; give a full path, or a name below the "
        f"folder that {FOLDER} holds"
    )


def file_sha256(weights: str | None) -> str:
    """Hash the file that ``weights`` names; empty where it names none. ConfigError where there is no such file."""
    return hashlib.sha256(find_weights(weights).read_bytes()).hexdigest() if weights and is_file(weights) else ""


def load_backbone(
    module: nn.Module,
    name: str,
    convert: Callable[[dict[str, Tensor]], Mapping[str, Tensor]] = dict,
    heads: Collection[str] = (),
) -> None:
    """Load a file into a featurizer; a classifier in the file is left out.

    Args:
        module: the featurizer.
        name: of the file, as of `find_weights`.
        convert: from the file's names and shapes to the module's, where they may differ.
        heads: first parts of names that are classifiers' in this architecture, besides the usual ones.

    Raises:
        ConfigError: no such file, not safetensors, or keys missing, unexpected, of another shape or kind of number, or
            not finite as the network holds them, listing them.
    """
    if not loading():
        return
    path = find_weights(name)
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"model.weights must be a safetensors file, {path} is not ({error})") from error
    expected = module.state_dict()
    left_out = {*HEADS, *AUXILIARY, *heads}
    found = {key: t for key, t in convert(found).items() if key in expected or key.split(".")[0] not in left_out}
    both = sorted(expected.keys() & found.keys())
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "of another shape": sorted(
            f"{k} {tuple(found[k].shape)} for {tuple(expected[k].shape)}"
            for k in both
            if found[k].shape != expected[k].shape
        ),
        "of another kind of number": [
            f"{k} {found[k].dtype} for {expected[k].dtype}"
            for k in both
            if expected[k].is_floating_point() and not found[k].is_floating_point()
        ],
        "not finite": [
            k
            for k in both
            if found[k].is_floating_point() and not bool(found[k].to(expected[k].dtype).isfinite().all())
        ],
    }
    wrong = "; ".join(f"{len(keys)} {what}: {_first(keys)}" for what, keys in problems.items() if keys)
    if wrong:
        raise ConfigError(
            f"model.weights must fit the network, but in {path} keys are {wrong}; choose the model it is of"
        )
    module.load_state_dict(found)


def _first(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more
