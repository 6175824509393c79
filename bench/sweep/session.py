"""One ``quantdg run``: plan, skip what is done, train with progress, measure latency, sum up."""

from __future__ import annotations

from collections import Counter
from functools import partial

from rich.console import Console

from ...core.errors import ConfigError, MeasurementError
from ..cells.temporary import mark_temporary_folder
from ..deploy.latency import Measured, measure_store
from ..deploy.runs import deploy_store
from ..engines.capacity import check_device, jobs_of
from ..engines.dispatch import submit_cells
from ..engines.local import run_cells
from ..experiment.grid import Cell, Experiment
from ..experiment.targets import Outlines
from ..models.weights import without_weights
from ..results.archive import MARKER
from ..results.store import RunStore
from ..results.summary import scan
from ..results.trials import those_that_count, write_search
from ..results.verdict_rules import fix_rules
from ..tracking.tracking import Tracking
from ..training.precision import check_computing
from .checks import cells_of, check_capacity, check_parts, read_outlines
from .plan import Plan, make_plan
from .progress import DeployWatch, Watch, progress_bar, tell
from .requested import write_grid
from .rerun import RerunPolicy
from .search import Searching, searching
from .stale import delete_stale
from .status import StatusReader
from .timing import time_kinds, timing_kind

FAILED = (
    "failed cells stay as they are, quantdg show CELL has the traceback; --retry failed runs them again, with --debug up to "
    "the first failure"
)


def load_and_plan(experiment: Experiment) -> list[Cell]:
    """Return all cells of the grid, a search's with the defaults, once every name, option and layer rule is known to fit.

    Loads the data sets, and weights unless `without_weights`, so that their domains are known and their caches are built once.
    """
    outlines = read_outlines(experiment)
    check_parts(experiment, outlines)
    return cells_of(experiment, outlines)


def plan_run(experiment: Experiment, policy: RerunPolicy | None = None, measure: bool = False) -> Plan:
    """Plan what `run_experiment` would do; nothing changes. ``measure`` times kinds the folder has no cells of."""
    store = RunStore(experiment.paths.out) if (experiment.paths.out / MARKER).exists() else None
    outlines = read_outlines(experiment)
    with without_weights():
        found = check_parts(experiment, outlines, refuse=True)
    search = searching(experiment, outlines)
    wanted = search.ask(store) if search else None
    cells = wanted.cells if wanted else cells_of(experiment, outlines)
    records, timed = list(scan(store)) if store else [], []
    if measure:
        known = {timing_kind(record.labels) for record in records if record.labels and record.steps}
        timed = time_kinds(cells, known, experiment.paths, experiment.launcher)
    planned = partial(
        make_plan, store=store, policy=policy or RerunPolicy(), refusals=found.refusals, timed=timed, records=records
    )
    made = planned(cells)
    check_capacity(experiment, outlines, made)
    made.notes |= found.notes
    if search and wanted:
        made.search = search.words(wanted, made, planned(search.shown))
    return made


def pending_cells(cells: list[Cell], store: RunStore, policy: RerunPolicy | None = None) -> list[Cell]:
    """Return the cells that a run under this policy would take on."""
    return make_plan(cells, store, policy or RerunPolicy(), {}).run


def run_experiment(
    experiment: Experiment, console: Console | None = None, policy: RerunPolicy | None = None, debug: bool = False
) -> int:
    """Run what is missing; returns the number of failed cells, plus one where latencies could not be measured.

    Ctrl-C leaves a folder that goes on. With ``debug`` cells run in this process, one after the other.

    Raises:
        CellFailedError: the first failure, with ``debug``.
        StorageError: the folder cannot be written; the cells stored so far stay.
    """
    console, policy = console or Console(stderr=True), policy or RerunPolicy()
    launcher = experiment.launcher
    if launcher.engine == "local":
        check_device(launcher)
        for setup in experiment.setups:
            check_computing(setup.protocol, launcher.device)
    elif debug:
        raise ConfigError(f"--debug runs cells in this process, got launcher={launcher.engine}; write launcher=local")
    outlines = read_outlines(experiment)
    check_parts(experiment, outlines)
    search = searching(experiment, outlines)
    store = RunStore(experiment.paths.out, create=True)
    mark_temporary_folder()
    tracking = Tracking(store, experiment.tracking, partial(tell, console))
    follow = partial(_train, policy=policy, console=console, debug=debug, tracking=tracking)
    try:
        cells = follow(experiment, outlines, store, search)
    except BaseException:
        tracking.abandon()
        raise
    tracking.cells(cell.key for cell in cells or ())
    tracking.finish()
    if cells is None:
        return 0
    keys = those_that_count(store, [cell.key for cell in cells]) if search else [cell.key for cell in cells]
    counting = set(keys)
    unmeasured = _measure(store, [c for c in cells if c.key in counting], experiment, outlines, console=console)
    if experiment.deploy is not None:
        with DeployWatch(console) as watch:
            deploy_store(store, keys, experiment.paths, experiment.deploy, watch=watch)
    statuses = Counter(r.status for c in cells if (r := store.read(c.key)))
    tell(console, "cells: " + ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())))
    if statuses["failed"]:
        tell(console, FAILED)
    return statuses["failed"] + unmeasured


def _train(
    experiment: Experiment,
    outlines: Outlines,
    store: RunStore,
    search: Searching | None,
    *,
    policy: RerunPolicy,
    console: Console,
    debug: bool,
    tracking: Tracking,
) -> list[Cell] | None:
    """Run all cells, those of a search round by round, and return them; None where a cluster has them and nobody waits."""
    launcher = experiment.launcher
    cells: list[Cell] = []
    for wanted, fresh in search.rounds(store) if search else [(None, cells_of(experiment, outlines))]:
        made = make_plan(fresh, store, policy.about(fresh) if cells else policy, {})
        check_capacity(experiment, outlines, made)
        if wanted is not None:
            write_search(store, wanted.rows)
        fix_rules(store.root, experiment.rules)
        write_grid(store, fresh)
        delete_stale(store, made, policy)
        _announce(experiment, made, console)
        cells += fresh
        if launcher.engine != "local" and made.run:
            if not submit_cells(made.run, store, experiment.paths, launcher, say=partial(tell, console)):
                return None
        elif made.run:
            _run_here(made, fresh, store, experiment, console=console, debug=debug, tracking=tracking)
    return cells


def _measure(
    store: RunStore, cells: list[Cell], experiment: Experiment, outlines: Outlines, *, console: Console
) -> int:
    """Measure latencies; returns 1 where that failed, which is told."""
    keys: dict[str, list[str]] = {setup.name: [] for setup in experiment.setups}
    for cell in cells:
        keys[cell.group.dataset.title].append(cell.key)
    portions = [Measured(keys[setup.name], setup.model, outlines[setup.name]) for setup in experiment.setups]
    try:
        with console.status("measuring torch eager on the weights of each quantizer"):
            measure_store(store, portions, experiment.launcher.threads)
    except MeasurementError as error:
        tell(console, f"latency: {error}")
        return 1
    return 0


def _announce(experiment: Experiment, made: Plan, console: Console) -> None:
    several = len(experiment.setups) > 1
    for setup in experiment.setups:
        part = made.parts.get(setup.name, made)
        protocol, weights = setup.protocol, setup.model.options.get("weights")
        tell(
            console,
            f"{f'{setup.name}: ' * several}protocol {protocol.name}: {protocol.steps} steps, quantized after "
            f"{protocol.start_step}, weights {weights or 'none'}, BatchNorm {protocol.bn}, {_counts(part, experiment, not several)}",
        )
    if several:
        tell(console, f"in all {_counts(made, experiment, True)}")
    for note in made.notes:
        tell(console, f"note: {note}")


def _counts(made: Plan, experiment: Experiment, whole: bool) -> str:
    each = f", {experiment.launcher.processes} processes each" if experiment.launcher.processes > 1 else ""
    jobs = f", {max(1, jobs_of(experiment.launcher))} at a time{each}" if whole else ""
    return f"{len(made.cells)} cells, {len(made.cells) - len(made.run)} done before{jobs}"


def _run_here(
    made: Plan,
    cells: list[Cell],
    store: RunStore,
    experiment: Experiment,
    *,
    console: Console,
    debug: bool,
    tracking: Tracking,
) -> None:
    try:
        with progress_bar(console) as progress:
            status = StatusReader(store, [cell.key for cell in made.run])
            watch = Watch(
                progress,
                _steps(made.run, store),
                len(made.run),
                stored=lambda key: tracking.cells([key]),
                left=lambda: status.read().left,
            )
            try:
                run_cells(made.run, store, experiment.paths, experiment.launcher, watch=watch, debug=debug)
            finally:
                watch.finish()
    except KeyboardInterrupt:
        stored = sum(store.cell_path(cell.key).exists() for cell in cells)
        tell(console, f"stopped; {stored} of {len(cells)} cells are stored, the same command goes on")
        raise


def _steps(cells: list[Cell], store: RunStore) -> int:
    groups = {c.group.key: c.group for c in cells}
    missing = [g for g in groups.values() if not store.float_path(g.key).exists()]
    shared = sum(g.protocol.start_step for g in missing)
    return shared + sum(c.group.protocol.steps - c.group.protocol.start_step for c in cells)
