"""A cell of a run folder, opened: its network, its packed weights, its target images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from ...core.errors import RecordError
from ...datasets.augment import normalise
from ...datasets.base import Domain, DomainDataset
from ...datasets.splits import split
from ..experiment.component import Component
from ..experiment.grid import Paths
from ..experiment.registry import installed
from ..models.base import DGModel
from ..models.weights import is_file, without_weights
from ..packed.file import PackedModel, read_model
from ..results.codec import reading
from ..results.logits import evenly
from ..results.record import HEADLINE, Record, unpack_bits
from ..results.store import RunStore
from ..training.data import load_dataset
from .reference import RecordedLogits
from .runtimes import Array


@dataclass(frozen=True)
class StoredCell:
    """Deployment needs this of a cell; ``network`` has fresh weights, ``model`` the stored ones."""

    record: Record
    network: DGModel
    model: PackedModel
    dataset: DomainDataset

    @property
    def shape(self) -> tuple[int, int, int]:
        """The images have this shape, (C, H, W)."""
        return self.dataset.shape

    def batches(self, size: int) -> Iterator[tuple[Array, NDArray[np.int64]]]:
        """Yield normalised images and labels of the whole target domain, in data-set order."""
        domain = self._target
        for start in range(0, len(domain.labels), size):
            images = self._normal(domain.images[start : start + size])
            yield images, domain.labels[start : start + size]

    def sample(self, count: int) -> Array:
        """Return at most ``count`` normalised target images, spread over the domain."""
        return self._normal(self._target.images[evenly(count, len(self._target.labels))])

    def trained(self) -> RecordedLogits | None:
        """Return the logits in the record with their images; None where the record is older, RecordError where they lie."""
        if self.record.logits is None:
            return None
        index, logits = self.record.logits.index(), self.record.logits.array()
        shape = (len(index), len(self.dataset.classes))
        if logits.shape != shape or not len(index) or int(index.min()) < 0 or index.max() >= len(self._target.labels):
            raise RecordError(
                f"the logits of {self.record.key} must be of images of its target and of shape {shape}, got "
                f"{logits.shape}; run the cell again"
            )
        return RecordedLogits(self._normal(self._target.images[index]), logits)

    @property
    def _target(self) -> Domain:
        return self.dataset.domains[self.dataset.index(self.record.labels.target)]

    def _normal(self, images: NDArray[np.uint8]) -> Array:
        expected = self.network.inputs or self.dataset
        out: Array = normalise(torch.from_numpy(np.array(images)), expected.mean, expected.std).numpy()
        return out

    def target_in(self) -> NDArray[np.int64]:
        """Return indices of the part of the target domain that tables report."""
        settings, index = self.record.settings, self.dataset.index(self.record.labels.target)
        count = len(self.dataset.domains[index].labels)
        return split(count, settings["seed"], index, settings["protocol"]["holdout"])[0]

    def correct(self) -> NDArray[np.bool_]:
        """Return correctness of each target image as recorded when the cell was trained."""
        return unpack_bits(self.record.rows[HEADLINE].correct, self.record.target_count)


def open_cell(store: RunStore, record: Record, paths: Paths) -> StoredCell:
    """Read the packed weights and the data set of a cell; RecordError where it has no stored model."""
    model = read_cell(store, record)
    with reading(str(store.cell_path(record.key)), "record"):
        msgspec.convert(record.settings, _Settings)
    settings = record.settings["dataset"]
    dataset = load_dataset(installed("dataset", settings), paths)
    if dataset.fingerprint != settings["fingerprint"]:
        raise RecordError(f"the data set must be the one that {record.key} was trained on; this one has other images")
    with without_weights():
        network = _untrained(record.settings["model"]).build(dataset.shape, len(dataset.classes))
    return StoredCell(record, network, model, dataset)


class _Part(msgspec.Struct):
    component: str
    name: str
    options: dict[str, Any]


class _Data(_Part):
    fingerprint: str


class _Protocol(msgspec.Struct):
    holdout: float


class _Settings(msgspec.Struct):
    """What is needed of a record's settings to open its cell."""

    dataset: _Data
    model: _Part
    protocol: _Protocol
    target: str
    seed: int


def read_cell(store: RunStore, record: Record) -> PackedModel:
    """Read the packed model of a cell; RecordError where it has none, or another than the one its record was made with."""
    path = store.model_path(record)
    if path is None or record.sizes is None:
        raise RecordError(
            f"a cell to deploy must have a stored model, {record.key} is {record.status}: {record.reason or 'none'}"
        )
    try:
        return read_model(path, record.key, record.sizes.checksum)
    except RecordError as error:
        raise RecordError(f"{error}; run the cell again with --force {record.key}") from error


def _untrained(model: dict[str, Any]) -> Component:
    """The network without its pre-trained weights file, which need not be at hand: the stored ones replace it all."""
    options = dict(model["options"])
    if is_file(options.get("weights")):
        options["weights"] = None
    return installed("model", model, options)
