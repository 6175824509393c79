"""From a cell to its record: support, training, selection rows, sizes; any failure becomes a recorded status."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...core.errors import MissingPackageError, QuantDGError
from ...quantizers.base import Quantizer
from ..algorithms.base import Algorithm
from ..averaging.base import WeightAverage
from ..experiment.component import Component, QuantizerComponent, import_object
from ..experiment.grid import Cell, Group, Paths
from ..experiment.launcher import Launcher
from ..experiment.protocol import without_batchnorm
from ..flatness.deployed import flatness_of
from ..packed.proof import prove_packed
from ..packed.size import write_model
from ..results.confusion import Confusion
from ..results.logits import Logits, spread
from ..results.provenance import provenance
from ..results.record import HEADLINE, LAST, ORACLE, Record, Row, Sizes, Status, pack_bits
from ..results.roles import Standing
from ..training.averaging import set_weights
from ..training.branch import Branch
from ..training.data import CellData, load_dataset
from ..training.evaluation import Score, SourceScore, evaluate, evaluate_sources
from ..training.precision import check_computing
from ..training.ranks import Ranks


def incompatibility(
    algorithm: Component,
    quantizer: QuantizerComponent,
    sources: int,
    network: Callable[[], nn.Module],
    *,
    step_rule: Component | None = None,
) -> tuple[Status, str] | None:
    """Return why an algorithm, under a step rule, and a quantizer cannot run together on so many source domains, or None."""
    try:
        kind: type[Quantizer] = import_object(quantizer.target)
        missing = kind.missing()
    except MissingPackageError as error:
        missing = str(error)
    if missing:
        return "unavailable", f"{quantizer.name} needs a package that is not installed: {missing}"
    method: type[Algorithm] = import_object(algorithm.target)
    if sources < method.min_domains:
        return "unsupported", f"{algorithm.name} needs {method.min_domains} source domains, there are {sources}"
    twice = algorithm.name if method.double_backward else _twice(step_rule)
    if twice and not kind.double_backward:
        return "unsupported", f"{twice} needs a double backward, {quantizer.name} has none"
    if quantizer.spec is not None:
        ok, reason = quantizer.create(0).supports(network(), quantizer.spec)
        if not ok:
            return "unsupported", reason
    return None


def _twice(step_rule: Component | None) -> str:
    """The step rule's name where it differentiates a gradient."""
    return step_rule.name if step_rule is not None and step_rule.build().double_backward else ""


def cell_incompatibility(cell: Cell, data: CellData) -> tuple[Status, str] | None:
    """Return why a cell cannot run at all, or None."""
    group = cell.group
    for transform in group.transforms:
        need = import_object(transform.target).min_domains
        if len(data.sources) < need:
            return "unsupported", f"{transform.name} needs {need} source domains, there are {len(data.sources)}"
    sources, rule = len(data.sources), group.step_rule
    return incompatibility(
        group.algorithm, cell.quantizer, sources, lambda: data.initial_network(group.model), step_rule=rule
    )


def open_data(group: Group, paths: Paths, device: str, *, rank: int = 0) -> CellData:
    """Open the data of a group, ready for training by the process ``rank`` of those the protocol asks for."""
    check_computing(group.protocol, device)
    dataset = load_dataset(group.dataset, paths)
    ranks = Ranks(rank, group.protocol.processes, device)
    data = CellData(dataset, dataset.index(group.target), group.seed, group.protocol, device=device, ranks=ranks)
    data.inputs = data.initial_network(group.model).inputs or dataset
    return data


def without_result(cell: Cell, status: Status, reason: str, launcher: Launcher) -> Record:
    """Make the record of a cell that has no result, with the reason."""
    origin = provenance(launcher.device, launcher.threads)
    role, meaning = _standing(cell.quantizer)
    return Record(
        cell.key, status, cell.labels, cell.settings, reason=reason, provenance=origin, role=role, meaning=meaning
    )


def _standing(quantizer: QuantizerComponent) -> Standing:
    """What the class says of itself; one that cannot be imported counts as a method."""
    try:
        kind: type[Quantizer] = import_object(quantizer.target)
    except QuantDGError:
        return Standing("method")
    return Standing(kind.role, kind.meaning)


def result_of(cell: Cell, branch: Branch, data: CellData, root: Path, launcher: Launcher) -> Record:
    """Evaluate a finished branch, store its model below ``root`` and sum all up; timings are of the branch alone."""
    digest, standing = _digest(branch.algorithm), _standing(cell.quantizer)
    rows, confusion = _rows(branch, data)
    network = branch.algorithm.network
    network.load_state_dict(branch.selection.chosen[HEADLINE].state)
    sizes, logits = _store_model(cell, branch, data, root)
    began = time.perf_counter()
    flatness = _flatness(cell, branch, data)
    flatness_s = time.perf_counter() - began
    return Record(
        cell.key,
        "done",
        cell.labels,
        cell.settings,
        rows=rows,
        target_count=len(data.target_in) + len(data.target_out),
        curve=branch.curve,
        plan=_plan_of(cell, branch),
        audit={name: site.flat() for name, site in branch.audit.sites.items()},
        outputs={name: asdict(output) for name, output in branch.audit.outputs.items()},
        sizes=sizes,
        logits=logits,
        confusion=confusion,
        timings={
            "branch_s": round(branch.seconds, 3),
            "step_ms": round(branch.step_ms, 3),
            "flatness_s": round(flatness_s, 3),
        },
        noise=branch.noise,
        flatness=flatness,
        role=standing.role,
        meaning=standing.meaning,
        provenance={**provenance(launcher.device, launcher.threads), "final_weights_sha256": digest},
    )


def _store_model(cell: Cell, branch: Branch, data: CellData, root: Path) -> tuple[Sizes, Logits]:
    """Write the headline weights, which the network carries, and prove on some target images that they are the same model."""
    network = branch.algorithm.network.eval()
    sizes, model = write_model(network, branch.quantizer, branch.float_names, root, key=cell.key)
    images = spread(len(data.target_in) + len(data.target_out), len(data.dataset.classes))
    x = torch.cat([batch for batch, _ in data.evaluation(data.target, images)])
    logits = prove_packed(network, model, data.initial_network(cell.group.model), x)
    return sizes, Logits.of(images, logits.cpu().numpy())


def _plan_of(cell: Cell, branch: Branch) -> dict[str, Any]:
    """What was quantized, how it was matched, what of the settings did not apply, and what an average or a step rule did."""
    further = {"match": branch.match, "note": cell.quantizer.note, "averaged": branch.averaged}
    further["step_rule"] = branch.algorithm.rule.report()
    further["bn"] = without_batchnorm(branch.algorithm.network, cell.group.protocol.bn)
    return {**asdict(branch.quantizer.plan), **{name: value for name, value in further.items() if value}}


def _flatness(cell: Cell, branch: Branch, data: CellData) -> dict[str, Any]:
    """Of the headline weights, which the network carries; empty where it is not asked for."""
    if cell.flatness is None:
        return {}
    twin = data.initial_network(cell.group.model)
    names = branch.float_names
    return flatness_of(branch.algorithm.network, branch.quantizer, twin, names, data=data, settings=cell.flatness)


def _digest(algorithm: Algorithm) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(algorithm.state_dict().items()):
        digest.update(
            name.encode() + tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def _rows(branch: Branch, data: CellData) -> tuple[dict[str, Row], Confusion]:
    """The target is evaluated once for each distinct checkpoint that a rule chose, and for each average."""
    algorithm, network = branch.algorithm, branch.algorithm.network
    by_step: dict[int, Row] = {}
    scores: dict[int, Score] = {}
    rows: dict[str, Row] = {}
    for rule in (HEADLINE, ORACLE, LAST):
        chosen = branch.selection.chosen[rule]
        if chosen.step not in by_step:
            network.load_state_dict(chosen.state)
            scores[chosen.step] = _target_score(algorithm, data)
            by_step[chosen.step] = _row(scores[chosen.step], data, chosen.step, chosen.source)
        rows[rule] = by_step[chosen.step]
    last = branch.selection.chosen[LAST].state
    for name, average in branch.averages.items():
        network.load_state_dict(last)
        rows[name] = _average_row(branch, data, average)
    headline, index = scores[rows[HEADLINE].step], data.target_in
    classes = data.dataset.classes
    return rows, Confusion.of(classes, headline.labels[index], headline.predicted[index])


def _average_row(branch: Branch, data: CellData, average: WeightAverage) -> Row:
    step, weights = average.result()
    network = branch.algorithm.network
    set_weights(network, weights)
    policy = branch.quantizer.after_average(network, data.calibration())
    source = evaluate_sources(branch.algorithm, data)
    return _row(_target_score(branch.algorithm, data), data, step, source, note=policy)


def _target_score(algorithm: Algorithm, data: CellData) -> Score:
    """Of the whole target domain."""
    return evaluate(algorithm, data, data.target, np.arange(len(data.target_in) + len(data.target_out)))


def _row(score: Score, data: CellData, step: int, source: SourceScore, note: str = "") -> Row:
    correct = score.correct
    return Row(
        step=step,
        target_in=float(correct[data.target_in].mean()),
        target_out=float(correct[data.target_out].mean()),
        source_out=source.accuracy,
        source_loss=source.mean_loss,
        correct=pack_bits(correct),
        note=note,
    )
