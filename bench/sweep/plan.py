"""What a run would do and cost, before anything starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..experiment.grid import Cell, Group
from ..results.record import Labels
from ..results.seal import is_sealed
from ..results.store import RunStore
from ..results.summary import DAMAGED, RecordSummary, scan
from ..training.checkpoint import float_identity
from .cost import Costs
from .models import changed_model
from .rerun import MISSING, RerunPolicy, check_force

Refusals = Mapping[tuple[str, str, str, str], str]
"""(data set, algorithm, quantizer, bits) -> why they cannot run together."""


@dataclass
class Plan:
    """A plan holds the cells of a grid and what is to be done.

    Attributes:
        cells: all of them.
        run: those to run now, in order.
        states: how many cells are in each state; ``unsupported`` includes those only foreseen.
        refused: how many cells of ``run`` will be refused at once.
        phases: float phases to train.
        seconds: estimated processor time, None where no similar cell has been measured.
        unknown: cells of ``run`` without an estimate.
        measured: cells of the folder that the estimate is from.
        timed: kinds of cells timed for it just now.
        stale: keys of ``run`` that have a file to be replaced.
        reasons: which kinds of cells of ``run`` will be refused, and why.
        notes: what of the settings does not apply to some cells.
        parts: the plan of each data set alone, by name.
        search: what a search is and costs, in one line; empty without one.
    """

    cells: Sequence[Cell]
    run: list[Cell] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    phases: int = 0
    seconds: float | None = None
    unknown: int = 0
    measured: int = 0
    timed: int = 0
    stale: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    parts: dict[str, Plan] = field(default_factory=dict)
    search: str = ""

    def text(self, jobs: int, accelerator: bool = False, processes: int = 1) -> str:
        """Return three lines for a person, one for each of several data sets, each refused kind of cell and each note.

        Args:
            jobs: cells at a time.
            accelerator: whether they train on GPUs.
            processes: of one cell; hours of several are said to be those of a cell, since it takes more than one core or GPU.
        """
        kind = "cell" if processes > 1 else "GPU" if accelerator else "core"
        lines = [part.line(name, kind) for name, part in self.parts.items()] if len(self.parts) > 1 else []
        lines += [self._states(), self._work()]
        if self.seconds is None:
            lines.append(
                f"{kind} hours: unknown, this folder has no measured cell like these; --measure times some steps"
            )
        else:
            hours, wall = self.seconds / 3600, self.seconds / 3600 / max(1, jobs)
            rest = f", {self.unknown} cells unknown" if self.unknown else ""
            alone = " by one process" if processes > 1 else ""
            just_now = f", {self.timed} kinds timed just now{alone}" if self.timed else ""
            lines.append(
                f"{kind} hours: about {hours:.3g}, {wall:.3g} h with {max(1, jobs)} at a time "
                f"(from {self.measured} measured cells{just_now}{rest})"
            )
        lines += [self.search] if self.search else []
        lines += [f"unsupported: {kind}: {reason}" for kind, reason in self.reasons.items()]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def line(self, name: str, kind: str) -> str:
        """Return one line for a data set among several; ``kind`` of hours."""
        hours = "unknown" if self.seconds is None else f"about {self.seconds / 3600:.3g}"
        return f"{name}: {self._states()}; {self._work()}; {kind} hours: {hours}"

    def _states(self) -> str:
        order = ("done", MISSING, "failed", "unsupported", "unavailable", "damaged")
        states = ", ".join(f"{self.states[s]} {s}" for s in order if self.states[s] or s in order[:4])
        return f"{len(self.cells)} cells in {len({cell.group.key for cell in self.cells})} groups: {states}"

    def _work(self) -> str:
        return f"to run: {len(self.run) - self.refused} cells and {self.phases} float phases"


def make_plan(
    cells: Sequence[Cell],
    store: RunStore | None,
    policy: RerunPolicy,
    refusals: Refusals,
    *,
    timed: Sequence[RecordSummary] = (),
    records: Iterable[RecordSummary] | None = None,
) -> Plan:
    """Compare a grid with a folder (None: a new one) under a policy; changes nothing.

    ``timed`` are measurements made for this plan, beside those of the folder; ``records`` are the folder's where they are
    known.
    """
    if records is None:
        records = scan(store) if store else ()
    summaries: dict[str, RecordSummary] = {summary.key: summary for summary in records}
    check_force(policy, {cell.key: cell.labels for cell in cells} if policy.force else {})
    costs, doubtful = Costs([*summaries.values(), *timed]), _Doubts(store)
    by_dataset: dict[str, list[Cell]] = {}
    for cell in cells:
        by_dataset.setdefault(cell.group.dataset.title, []).append(cell)
    whole = Plan(cells, timed=len(timed), measured=costs.measured - len(timed), seconds=None if cells else 0.0)
    for name, own in by_dataset.items():
        part = Plan(own)
        open_cells = _sort(part, summaries, store, policy, refusals=refusals, doubtful=doubtful)
        _estimate(part, open_cells, costs, store, policy=policy)
        whole.parts[name] = part
        _add(whole, part)
    if whole.unknown and whole.unknown == len(whole.run) - whole.refused:
        whole.seconds = None
    return whole


def _add(whole: Plan, part: Plan) -> None:
    """Add the plan of one data set; hours are known where those of one data set are."""
    whole.run += part.run
    whole.states += part.states
    whole.stale += part.stale
    whole.refused += part.refused
    whole.phases += part.phases
    whole.unknown += part.unknown
    whole.reasons |= part.reasons
    whole.notes |= part.notes
    if part.seconds is not None:
        whole.seconds = part.seconds + (whole.seconds or 0.0)


def _sort(
    plan: Plan,
    summaries: Mapping[str, RecordSummary],
    store: RunStore | None,
    policy: RerunPolicy,
    *,
    refusals: Refusals,
    doubtful: _Doubts,
) -> list[tuple[Cell, Labels]]:
    """Count the cells of a plan by their states; returns those that will be trained."""
    open_cells: list[tuple[Cell, Labels]] = []
    plan.notes = dict.fromkeys(cell.quantizer.note for cell in plan.cells if cell.quantizer.note)
    for cell in plan.cells:
        key, summary = cell.key, summaries.get(cell.key)
        state = summary.state if summary else MISSING
        changed = changed_model(store, key, summary.modified) if store and summary and state == "done" else ""
        if changed:
            state = DAMAGED
            plan.notes[f"the packed model of {cell.labels.path} ({key}) counts as damaged: {changed}"] = None
        if policy.runs(key, cell.labels if policy.force else None, state) or (
            state == "failed" and doubtful(cell.group, policy)
        ):
            plan.run.append(cell)
            if summary:
                plan.stale.append(key)
            labels = cell.labels
            kind = (labels.dataset, labels.algorithm, labels.quantizer, labels.bits)
            if kind in refusals:
                plan.reasons[" ".join(kind[1:])] = refusals[kind]
                plan.refused += 1
                state = "unsupported"
            else:
                open_cells.append((cell, labels))
        plan.states[state] += 1
    return open_cells


class _Doubts:
    """This tells float phases that are stored without saying whose they are; cells that failed may have failed on them."""

    def __init__(self, store: RunStore | None) -> None:
        self._store = store
        self._known: dict[str, bool] = {}

    def __call__(self, group: Group, policy: RerunPolicy) -> bool:
        """Return whether a failed cell of the group is to run again for this reason; looks at each group once."""
        if self._store is None or policy.overwrite == "never":
            return False
        if group.key not in self._known:
            path = self._store.float_path(group.key)
            said = float_identity(path, group.protocol.start_step)
            self._known[group.key] = path.exists() and not is_sealed(path, said)
        return self._known[group.key]


def _estimate(
    plan: Plan, cells: Sequence[tuple[Cell, Labels]], costs: Costs, store: RunStore | None, policy: RerunPolicy
) -> None:
    total, known = 0.0, 0
    groups: dict[str, tuple[Cell, Labels]] = {}
    for cell, labels in cells:
        protocol = cell.group.protocol
        seconds = costs.branch(labels, protocol.steps - protocol.start_step)
        known += seconds is not None
        total += seconds or 0.0
        groups.setdefault(cell.group.key, (cell, labels))
    for key, (cell, labels) in groups.items():
        if policy.overwrite == "always" or store is None or not store.float_path(key).exists():
            plan.phases += 1
            total += costs.shared(labels, cell.group.protocol.start_step) or 0.0
    plan.unknown = len(cells) - known
    plan.seconds = total if known or not cells else None
