"""From a cell to its record: support, training, selection rows, sizes; any failure becomes a recorded status."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantdg.bench.algorithms.base import Algorithm
from quantdg.bench.averaging.base import WeightAverage
from quantdg.bench.data import CellData
from quantdg.bench.deploy.size import write_model
from quantdg.bench.environment import provenance
from quantdg.bench.evaluation import SourceScore, evaluate, evaluate_sources
from quantdg.bench.experiment import Cell, Component, Group, Launcher, Paths, import_object
from quantdg.bench.records import Record, Row, Status, pack_bits
from quantdg.bench.store import RunStore
from quantdg.bench.training import Branch, StepReport, build, float_phase, train_branch
from quantdg.core.errors import QuantDGError
from quantdg.datasets.base import DomainDataset
from quantdg.quantizers.base import Quantizer

HEADLINE = "iid"
"""The selection whose weights are stored and measured: best on source validation."""


@lru_cache(maxsize=1)
def _load(name: str, target: str, options: tuple[tuple[str, Any], ...], paths: Paths) -> DomainDataset:
    component = Component(name, target, dict(options))
    dataset: DomainDataset = component.build(name=name, root=paths.data_root, cache_dir=paths.cache)
    return dataset


def load_dataset(component: Component, paths: Paths) -> DomainDataset:
    """The data set of a configuration; read once a process."""
    return _load(component.name, component.target, tuple(sorted(component.options.items())), paths)


def refusal(cell: Cell, data: CellData) -> tuple[Status, str] | None:
    """Why a cell cannot run at all, or None."""
    quantizer: type[Quantizer] = import_object(cell.quantizer.target)
    missing = quantizer.missing()
    if missing:
        return "unavailable", f"{cell.quantizer.name} needs a package that is not installed: {missing}"
    algorithm: type[Algorithm] = import_object(cell.group.algorithm.target)
    if len(data.sources) < algorithm.min_domains:
        need = algorithm.min_domains
        return "unsupported", f"{cell.group.algorithm.name} needs {need} source domains, there are {len(data.sources)}"
    if algorithm.double_backward and not quantizer.double_backward:
        return "unsupported", f"{cell.group.algorithm.name} needs a double backward, {cell.quantizer.name} has none"
    if cell.quantizer.spec is not None:
        network = build(cell.group, data).network
        ok, reason = cell.quantizer.create(0).supports(network, cell.quantizer.spec)
        if not ok:
            return "unsupported", reason
    return None


def run_group(
    cells: list[Cell], store: RunStore, paths: Paths, launcher: Launcher, report: StepReport
) -> Iterator[Record]:
    """Run the cells of one group and store a record for each; yields it as soon as it is stored."""
    group = cells[0].group
    data: CellData | None = None
    for cell in cells:
        began = time.perf_counter()
        try:
            if data is None:
                data = _open(group, paths, launcher.device)
            record = _run_cell(cell, data, store, launcher, report)
        except Exception as error:  # noqa: BLE001 - any failure is a result of this cell
            record = without_result(cell, "failed", _reason(error), launcher)
        record.timings["total_s"] = round(time.perf_counter() - began, 3)
        store.write(record)
        yield record


def _open(group: Group, paths: Paths, device: str) -> CellData:
    dataset = load_dataset(group.dataset, paths)
    return CellData(dataset, dataset.index(group.target), group.seed, group.protocol, device)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, QuantDGError) else f"{type(error).__name__}: {text}"


def without_result(cell: Cell, status: Status, reason: str, launcher: Launcher) -> Record:
    """The record of a cell that has no result, with the reason."""
    origin = provenance(launcher.device, launcher.threads)
    return Record(cell.key, status, cell.labels, cell.settings, reason, provenance=origin)


def _run_cell(cell: Cell, data: CellData, store: RunStore, launcher: Launcher, report: StepReport) -> Record:
    refused = refusal(cell, data)
    if refused:
        return without_result(cell, *refused, launcher)
    began = time.perf_counter()
    state = float_phase(cell.group, data, store.root / "float" / f"{cell.group.key}.safetensors", report)
    trained_float = time.perf_counter()
    branch = train_branch(cell, data, state, report)
    trained = time.perf_counter()
    digest = _digest(branch.algorithm)
    rows = _rows(branch, data)
    network = branch.algorithm.network
    network.load_state_dict(branch.selection.chosen[HEADLINE].state)
    sizes = write_model(network, branch.quantizer, branch.float_names, store.root, cell.key)
    timings = {"float_s": trained_float - began, "branch_s": trained - trained_float, "step_ms": branch.step_ms}
    return Record(
        cell.key,
        "done",
        cell.labels,
        cell.settings,
        rows=rows,
        target_count=len(data.target_in) + len(data.target_out),
        curve=branch.curve,
        plan=asdict(branch.quantizer.plan),
        audit={name: asdict(site) for name, site in branch.audit.sites.items()},
        sizes=sizes,
        timings={name: round(value, 3) for name, value in timings.items()},
        provenance={**provenance(launcher.device, launcher.threads), "final_weights_sha256": digest},
    )


def _digest(algorithm: Algorithm) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(algorithm.state_dict().items()):
        digest.update(
            name.encode() + tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def _rows(branch: Branch, data: CellData) -> dict[str, Row]:
    """The target is evaluated once for each distinct checkpoint that a rule chose, and for each average."""
    algorithm, network = branch.algorithm, branch.algorithm.network
    by_step: dict[int, Row] = {}
    rows: dict[str, Row] = {}
    for rule in ("iid", "oracle", "last"):
        chosen = branch.selection.chosen[rule]
        if chosen.step not in by_step:
            network.load_state_dict(chosen.state)
            by_step[chosen.step] = _row(algorithm, data, chosen.step, chosen.source)
        rows[rule] = by_step[chosen.step]
    last = branch.selection.chosen["last"].state
    for name, average in branch.averages.items():
        network.load_state_dict(last)
        rows[name] = _average_row(branch, data, average)
    return rows


def _average_row(branch: Branch, data: CellData, average: WeightAverage) -> Row:
    step, weights = average.result()
    network = branch.algorithm.network
    _copy(dict(network.named_parameters()), weights)
    policy = branch.quantizer.after_average(network, data.calibration())
    return _row(branch.algorithm, data, step, evaluate_sources(branch.algorithm, data), policy)


@torch.no_grad()
def _copy(parameters: dict[str, torch.nn.Parameter], weights: dict[str, Tensor]) -> None:
    for name, value in weights.items():
        parameters[name].copy_(value)


def _row(algorithm: Algorithm, data: CellData, step: int, source: SourceScore, note: str = "") -> Row:
    count = len(data.target_in) + len(data.target_out)
    correct = evaluate(algorithm, data, data.target, np.arange(count)).correct
    return Row(
        step=step,
        target_in=float(correct[data.target_in].mean()),
        target_out=float(correct[data.target_out].mean()),
        source_out=source.accuracy,
        source_loss=source.mean_loss,
        correct=pack_bits(correct),
        note=note,
    )
