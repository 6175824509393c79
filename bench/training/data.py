"""The data of one cell: source batches for training, clean arrays for evaluation. The target never trains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...core.errors import DataError
from ...datasets.augment import augment, get_augmentation, normalise
from ...datasets.base import DomainDataset
from ...datasets.sampling import batch_indices
from ...datasets.splits import split
from ..experiment.component import Component
from ..experiment.grid import Paths
from ..experiment.protocol import Protocol
from ..models.base import DGModel, Normalisation
from ..transforms.base import Minibatches
from .ahead import Ahead, SideStream
from .images import images_of
from .ranks import Ranks
from .seeds import SeedSource, seed_everything

CACHE_BYTES = 256 * 2**20
"""Augmented batches past the start step are kept up to this size: every branch of a group trains on the same ones."""

PHOTO_SIZE = 64
"""From this width on batches lie channels-last, which trains SqueezeNet 1.5 and MobileNet 1.2 times as fast on a CPU.

A convolution lays its weights out as its input lies, so weights, and with them stored states, stay as they are.
"""


@lru_cache(maxsize=1)
def _load(name: str, target: str, options: str, root: Path | None, cache: Path) -> DomainDataset:
    component = Component(name, target, json.loads(options))
    dataset: DomainDataset = component.build(name=name, root=root, cache_dir=cache)
    return dataset


def load_dataset(component: Component, paths: Paths) -> DomainDataset:
    """Return the data set of a configuration; the last one is kept, so that one after another is read once a process."""
    options = json.dumps(component.options, sort_keys=True)
    root, cache = paths.root_of(component.name), paths.cache_of(component.name)
    return _load(component.name, component.target, options, root, cache=cache)


def layout(images: Tensor) -> torch.memory_format:
    """Return how a batch of these images lies in memory."""
    return torch.channels_last if images.shape[-1] >= PHOTO_SIZE else torch.contiguous_format


class CellData:
    """This holds splits and batches for one held-out target.

    Args:
        dataset: all domains.
        target: index of the held-out domain.
        seed: trial seed; with the environment index it fixes the splits, as in DomainBed.
        protocol: batch size, hold-out share, augmentation.
        device: where batches go.
        inputs: normalisation that the network's weights expect; None: the data set's.
        ranks: the processes that train the cell; None: this one alone.
    """

    def __init__(
        self,
        dataset: DomainDataset,
        target: int,
        seed: int,
        protocol: Protocol,
        device: str,
        inputs: Normalisation | None = None,
        *,
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Ranks(device=device)
        self.dataset, self.target, self.protocol, self.device = dataset, target, protocol, device
        self.inputs = inputs or dataset
        self.seeds = SeedSource(dataset.name, dataset.domains[target].name, seed)
        self.sources = [i for i in range(len(dataset.domains)) if i != target]
        splits = [split(len(d.labels), seed, i, protocol.holdout) for i, d in enumerate(dataset.domains)]
        self.target_in, self.target_out = splits[target]
        splits = [splits[i] if i == target else d.source_split(splits[i]) for i, d in enumerate(dataset.domains)]
        self.train = {i: splits[i][0] for i in self.sources}
        self.validation = {i: splits[i][1] for i in self.sources}
        for i, (inside, outside) in enumerate(splits):
            if not len(inside) or not len(outside):
                raise DataError(
                    f"each domain needs images on both sides of the split, {dataset.domains[i].name!r} has "
                    f"{len(dataset.domains[i].labels)} in all; remove the domain or raise protocol.holdout"
                )
        self.augmentation = get_augmentation(protocol.augmentation)
        self._initial: tuple[Component, DGModel, Tensor] | None = None
        self._kept: dict[int, Minibatches] = {}
        self._free = CACHE_BYTES
        self._images = images_of(dataset, device)
        self._fresh = self._draw if device == "cpu" else Ahead(self._draw, SideStream(device), protocol.steps)

    def initial_network(self, model: Component) -> DGModel:
        """Return a network with initial weights, which depend on the seeds alone; built once, then copied.

        torch's generator is left where building leaves it, so that what an algorithm draws next is the same each time.
        """
        if self._initial is None or self._initial[0] != model:
            seed_everything(self.seeds.of("init"))
            network: DGModel = model.build(self.dataset.shape, len(self.dataset.classes))
            self._initial = model, network.to(self.device), torch.get_rng_state()
        _, network, generator = self._initial
        seed_everything(self.seeds.of("init"))
        torch.set_rng_state(generator)
        return deepcopy(network)

    def batches(self, step: int) -> Minibatches:
        """Return the augmented source batches of a step, a pure function of seeds and step; not to be changed."""
        if step in self._kept:
            return self._kept[step]
        batches = self._fresh(step)
        size = sum(x.numel() * x.element_size() for x, _ in batches)
        if step > self.protocol.start_step and size <= self._free:
            self._kept[step] = batches
            self._free -= size
        return batches

    def _draw(self, step: int) -> Minibatches:
        generator = torch.Generator().manual_seed(self.seeds.of("augmentation", step))
        out = []
        for i in self.sources:
            index = batch_indices(self.train[i], self.seeds.of("order"), i, step, batch=self.protocol.batch_size)
            x, y = self._images.batch(i, index)
            out.append((self._augmented(x, generator), y))
        return out

    def calibration(self) -> Iterator[Tensor]:
        """Yield source-train batches without augmentation, the same for every quantizer."""
        for number in range(self.protocol.calibration_batches):
            parts = []
            for i in self.sources:
                seed = self.seeds.of("calibration")
                index = batch_indices(self.train[i], seed, i, number, batch=self.protocol.batch_size)
                parts.append(self._normalise(self._images.batch(i, index)[0]))
            yield torch.cat(parts)

    def evaluation(self, domain: int, index: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of the given examples, in order: clean, unless source validation is augmented."""
        augmented = self.protocol.augment_validation and domain in self.sources
        generator = torch.Generator().manual_seed(self.seeds.of("validation", domain))
        for part in np.array_split(index, -(-len(index) // self.protocol.eval_batch)):
            x, y = self._images.batch(domain, part)
            yield self._augmented(x, generator) if augmented else self._normalise(x), y

    def _augmented(self, x: Tensor, generator: torch.Generator) -> Tensor:
        out = augment(x, self.augmentation, generator, self.inputs.mean, std=self.inputs.std)
        return out.contiguous(memory_format=layout(x))

    def _normalise(self, x: Tensor) -> Tensor:
        return normalise(x, self.inputs.mean, self.inputs.std).contiguous(memory_format=layout(x))
