"""One ``quantdg run``: plan, skip what is done, train with progress, measure latency, sum up."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from quantdg.bench.deploy.latency import measure_store
from quantdg.bench.engine import jobs_of, run_cells
from quantdg.bench.experiment import Cell, Experiment
from quantdg.bench.records import Record
from quantdg.bench.run import load_dataset
from quantdg.bench.store import RunStore
from quantdg.quantizers.layers import choose


def plan(experiment: Experiment) -> list[Cell]:
    """All cells of the grid, once every name and layer rule in it is known to fit.

    Loads the data set, so that its domains are known and its cache is built once.
    """
    dataset = load_dataset(experiment.dataset, experiment.paths)
    domains = [d.name for d in dataset.domains]
    for target in experiment.targets or ():
        dataset.index(target)
    network = experiment.model.build(dataset.shape, len(dataset.classes))
    for quantizer in experiment.quantizers:
        if quantizer.spec is not None:
            choose(network, quantizer.spec)
    return experiment.cells(domains, dataset.fingerprint)


def pending_cells(cells: list[Cell], store: RunStore) -> list[Cell]:
    """The cells without a usable record: done and unsupported ones stay, the others run again."""
    done = {r.key for r in store.records() if isinstance(r, Record) and r.status in ("done", "unsupported")}
    return [c for c in cells if c.key not in done]


def run_experiment(experiment: Experiment, console: Console | None = None) -> int:
    """Run what is missing; returns the number of failed cells. Ctrl-C leaves a folder that goes on."""
    console = console or Console(stderr=True)
    cells = plan(experiment)
    store = RunStore(experiment.paths.out, create=True)
    pending = pending_cells(cells, store)
    protocol = experiment.protocol
    console.print(
        f"protocol {protocol.name}: {protocol.steps} steps, quantized after {protocol.start_step}, BatchNorm "
        f"{protocol.bn}, {len(cells)} cells, {len(cells) - len(pending)} done before, "
        f"{max(1, jobs_of(experiment.launcher))} at a time"
    )
    try:
        with _progress(console) as progress:
            watch = Watch(progress, _steps(pending, store))
            run_cells(pending, store, experiment.paths, experiment.launcher, watch)
    except KeyboardInterrupt:
        left = len(pending_cells(cells, store))
        console.print(f"stopped; {len(cells) - left} of {len(cells)} cells are stored, the same command goes on")
        raise
    measure_store(store, [c.key for c in cells], experiment)
    statuses = Counter(r.status for c in cells if (r := store.read(c.key)))
    console.print("cells: " + ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())))
    return statuses["failed"]


def _steps(cells: list[Cell], store: RunStore) -> int:
    groups = {c.group.key: c.group for c in cells}
    missing = [g for g in groups.values() if not (store.root / "float" / f"{g.key}.safetensors").exists()]
    shared = sum(g.protocol.start_step for g in missing)
    return shared + sum(c.group.protocol.steps - c.group.protocol.start_step for c in cells)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)


class Watch:
    """Moves a progress bar by training steps; failures are printed as they come."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress, self.steps, self.cells = progress, steps, 0
        self.task = progress.add_task("training", total=steps)

    def __call__(self, kind: str, value: object) -> None:
        """Take an event of the engine."""
        if isinstance(value, int):
            self.progress.advance(self.task, value)
        elif isinstance(value, Record):
            self._record(value)

    def _record(self, record: Record) -> None:
        self.cells += 1
        self.progress.update(self.task, description=f"{self.cells} cells")
        if record.status == "done":
            return
        protocol = record.settings["protocol"]
        self.steps -= protocol["steps"] - protocol["start_step"]
        self.progress.update(self.task, total=self.steps)
        if record.status == "failed":
            label = record.labels
            where = f"{label.dataset}/{label.target} seed {label.seed} {label.algorithm} {label.quantizer} {label.bits}"
            self.progress.console.print(f"failed: {where}: {record.reason}", markup=False)
