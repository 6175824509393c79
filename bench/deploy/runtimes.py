"""What an inference runtime must offer, and the ones there are. Importing this imports no runtime and no torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..experiment.offers import find_offer

Array = NDArray[np.float32]


class Layers(NamedTuple):
    """These count convolutions and matrix products in the graph that a runtime executes: all, and those on integers."""

    total: int
    integer: int


class Runner(Protocol):
    """A runner is a file opened by a runtime for calls of one batch size."""

    batch: int

    def __call__(self, x: Array) -> Array:
        """Return logits (batch, classes) of images (batch, C, H, W)."""
        ...

    def layers(self) -> Layers:
        """Count what is really executed."""
        ...


PTE = ".pte"


def suffix(runtime: str) -> str:
    """Return how the name of a runtime's file ends; runtimes with the same ending read the same file."""
    return PTE if runtime == "executorch" else ".onnx"


def open_model(runtime: str, path: Path, *, threads: int = 1, batch: int = 1, integer: bool = True) -> Runner:
    """Open a file with float precision pinned to float32 and no quantization beyond the file's own.

    Args:
        runtime: the name of an installed one.
        path: the file, ONNX or, for ExecuTorch, a program.
        threads: of the runtime, >= 1.
        batch: images a call.
        integer: False where only weights are quantized.

    Raises:
        UnknownNameError, MissingPackageError, RecordError: no such runtime; not installed; a file it cannot run.
    """
    module, _, name = find_offer("runtime", runtime).target.rpartition(".")
    factory: Callable[..., Runner] = getattr(import_module(module), name)
    return factory(path, threads, batch, integer)


def runtime_version(runtime: str) -> str:
    """Return the installed version."""
    origin = find_offer("runtime", runtime).origin
    return origin.rpartition(" ")[2] if origin else version(runtime)


def predict(runner: Runner, images: Array) -> Array:
    """Return logits of any number of images: the last batch is filled up and the filling dropped."""
    out = []
    for start in range(0, len(images), runner.batch):
        part = images[start : start + runner.batch]
        filled = np.concatenate([part, np.repeat(part[:1], runner.batch - len(part), axis=0)])
        out.append(runner(np.ascontiguousarray(filled))[: len(part)])
    return np.concatenate(out)
