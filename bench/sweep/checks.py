"""Everything of an experiment that can be known to fit before anything is trained, data set by data set."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from torch import nn

from ..cells.dry_build import build_network, try_network, try_parts
from ..cells.execute import incompatibility
from ..engines.capacity import crowding
from ..engines.memory import check_memory, refuse_large_networks
from ..experiment.grid import Cell, Experiment
from ..experiment.keys import prime_keys
from ..experiment.protocol import without_batchnorm
from ..experiment.setup import Setup, refuse_same_content
from ..experiment.targets import Outlines
from ..training.data import load_dataset
from ..training.precision import check_computing
from .plan import Plan, Refusals


class Found(NamedTuple):
    """This is what building the parts tells: which cells will be refused, and what of a protocol does not apply."""

    refusals: Refusals
    notes: dict[str, None]


def read_outlines(experiment: Experiment) -> Outlines:
    """Read the data sets one after the other, building what caches they lack; ConfigError where the grid does not fit them."""
    for group, component in experiment.components():
        component.check(group)
    if experiment.launcher.device == "cpu":
        for setup in experiment.setups:
            check_computing(setup.protocol, "cpu")
    outlines = {s.name: load_dataset(s.dataset, experiment.paths).outline for s in experiment.setups}
    refuse_same_content({name: outline.fingerprint for name, outline in outlines.items()})
    experiment.check_size(outlines)
    return outlines


def cells_of(experiment: Experiment, outlines: Outlines) -> list[Cell]:
    """Return all cells, their keys worked out."""
    cells = experiment.cells(outlines)
    prime_keys(cells)
    return cells


def check_parts(experiment: Experiment, outlines: Outlines, *, refuse: bool = False) -> Found:
    """Build each part once for each data set; ConfigError where one cannot be built, or a network does not run.

    Combinations that will be refused are found where ``refuse`` asks for that; unavailable ones are among them.
    """
    refusals: dict[tuple[str, str, str, str], str] = {}
    notes: dict[str, None] = {}
    for setup in experiment.setups:
        outline = outlines[setup.name]
        with refuse_large_networks():
            network = build_network(setup.model, outline)
        try_network(network, outline.shape)
        sources = len(outline.domains) - 1
        try_parts(experiment, setup, network, sources)
        if refuse:
            refusals |= _refusals(experiment, setup, network, sources)
        if note := without_batchnorm(network, setup.protocol.bn):
            notes[f"{setup.name}: {note}" if len(experiment.setups) > 1 else note] = None
    return Found(refusals, notes)


def _refusals(
    experiment: Experiment, setup: Setup, network: nn.Module, sources: int
) -> dict[tuple[str, str, str, str], str]:
    found = {}
    for algorithm in experiment.algorithms:
        for quantizer in experiment.quantizers:
            refused = incompatibility(algorithm, quantizer, sources, lambda: network, step_rule=experiment.step_rule)
            if refused:
                bits = quantizer.spec.label if quantizer.spec else "float"
                found[setup.dataset.title, algorithm.name, quantizer.name, bits] = refused[1]
    return found


def check_capacity(experiment: Experiment, outlines: Outlines, made: Plan) -> None:
    """Refuse what cannot fit into memory, and note what takes more cores than there are.

    All processes may train on one data set at a time.
    """
    if crowded := crowding(experiment.launcher, len(made.run)):
        made.notes[crowded] = None
    for setup in experiment.setups:
        if setup.name in made.parts and made.parts[setup.name].run:
            check_memory(_largest(setup, made), outlines[setup.name], experiment.launcher, len(made.run))


def _largest(setup: Setup, made: Plan) -> Setup:
    """A setup with the largest batch of its cells: a search draws it."""
    most = max(cell.group.protocol.batch_size for cell in made.parts[setup.name].run)
    return replace(setup, protocol=replace(setup.protocol, batch_size=most))
