"""Finished cells as members of an ensemble: opened from their packed files, checked to belong together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from ...core.errors import ConfigError
from ...core.repeats import refuse_repeats
from ..deploy.stored import StoredCell, open_cell
from ..experiment.grid import Paths
from ..experiment.protocol import Protocol
from ..packed.twin import Twin, load_float
from ..results.find import find_cells
from ..results.record import HEADLINE
from ..training.data import CellData
from .combine import Weights, correctness, greedy, logits_of, mean_logits, mean_weights

How = Literal["logits", "diwa", "diwa_greedy"]
SAME_START = ("target", "seed", "model")
"""Settings that must agree for two cells to start from the same weights."""


@dataclass(frozen=True)
class Ensemble:
    """This is an ensemble's result on the whole target domain.

    Members of different seeds have different 80/20 splits, so, as in the published ensembles, all target images count;
    single models are reported on their 80 % part elsewhere.

    Attributes:
        how: the combination.
        members: keys of the cells used.
        accuracy: 0 to 1.
        correct: for each target image.
        single: accuracy of each member on the same images.
        bytes: to be stored: of the packed files of all members, or of the one float file of averaged weights.
    """

    how: How
    members: tuple[str, ...]
    accuracy: float
    correct: NDArray[np.bool_]
    single: tuple[float, ...]
    bytes: int


def open_members(names: Sequence[str], paths: Paths) -> list[StoredCell]:
    """Open the cells that the names or patterns name (`find_cells`), each once, of one data set and target.

    RecordError where one has no model, else ConfigError.
    """
    named = [(store, key) for store, keys in map(find_cells, names) for key in keys]
    places = {store.cell_path(key).resolve(): (store, key) for store, key in named}
    cells = [open_cell(store, store.load(key), paths) for store, key in places.values()]
    if len(cells) < 2:
        raise ConfigError(
            f"an ensemble needs at least two cells, got {len(cells)}; write RUNS/KEY RUNS/KEY ... or a pattern, RUNS/DATASET/TARGET/*/ALGORITHM/QUANTIZER"
        )
    refuse_repeats("the list of cells", [cell.record.key for cell in cells])
    _must_agree(cells, ("dataset", "target"), "an ensemble's members share data set and target")
    return cells


def _must_agree(cells: Sequence[StoredCell], keys: Sequence[str], rule: str) -> None:
    first = cells[0].record
    for cell in cells[1:]:
        for key in keys:
            if cell.record.settings[key] != first.settings[key]:
                raise ConfigError(
                    f"{rule}, but {cell.record.key} has {key}={cell.record.settings[key]!r} and {first.key} has "
                    f"{first.settings[key]!r}; leave one out"
                )


def combine_cells(cells: Sequence[StoredCell], how: How) -> Ensemble:
    """Combine opened cells and score the result on their target."""
    if how not in get_args(How):
        raise ConfigError(f"how must be one of {', '.join(get_args(How))}, got {how!r}")
    alone, labels = zip(*(logits_of(_network(cell), _target(cell)) for cell in cells), strict=True)
    single = tuple(float(correctness(logits, labels[0]).mean()) for logits in alone)
    if how == "logits":
        used, size = list(range(len(cells))), sum(_packed_bytes(c) for c in cells)
        combined = mean_logits(alone)
    else:
        network, used, size = _averaged(cells, how)
        combined, _ = logits_of(network, _target(cells[0]))
    correct = correctness(combined, labels[0])
    members = tuple(cells[i].record.key for i in used)
    return Ensemble(how, members, float(correct.mean()), correct, single=single, bytes=size)


def _averaged(cells: Sequence[StoredCell], how: How) -> tuple[nn.Module, list[int], int]:
    _must_agree(cells, SAME_START, "DiWA averages runs that start from the same weights")
    states: list[Weights] = [c.model.state() for c in cells]
    names = [n for n, _ in cells[0].network.named_parameters()]
    if how == "diwa":
        mean, used = mean_weights(states, names), list(range(len(cells)))
    else:
        accuracies = [float(np.mean(list(c.record.rows[HEADLINE].source_out.values()))) for c in cells]
        mean, used = greedy(states, accuracies, names, lambda state: _source_accuracy(cells[0], state))
    return load_float(cells[0].network, mean), used, len(save(mean))


def _source_accuracy(cell: StoredCell, state: Weights) -> float:
    settings = cell.record.settings
    index = cell.dataset.index(settings["target"])
    protocol = Protocol(**settings["protocol"])
    data = CellData(cell.dataset, index, settings["seed"], protocol, device="cpu", inputs=cell.network.inputs)
    network = load_float(cell.network, state)
    parts = (data.evaluation(i, data.validation[i]) for i in data.sources)
    scores = [correctness(*logits_of(network, part)).mean() for part in parts]
    return float(np.mean(scores))


def _network(cell: StoredCell) -> nn.Module:
    return Twin(cell.network, cell.model.state(), cell.model.sites, cell.model.outputs).network


def _packed_bytes(cell: StoredCell) -> int:
    assert cell.record.sizes is not None
    return cell.record.sizes.packed_file


def _target(cell: StoredCell) -> Iterator[tuple[Tensor, Tensor]]:
    for images, labels in cell.batches(128):
        yield torch.from_numpy(images), torch.from_numpy(labels)
