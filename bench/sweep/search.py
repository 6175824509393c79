"""The cells of a search: which trials are to be run, as far as what has been run says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ...core.ranges import Range
from ...datasets.base import Outline
from ..cells.dry_build import build_network, try_parts
from ..experiment.grid import Cell, Experiment, too_many_cells
from ..experiment.keys import prime_keys
from ..experiment.search import Search
from ..experiment.space import search_space
from ..experiment.targets import Outlines
from ..experiment.trials import TrialCell, Trials, Values, configured_experiment
from ..models.weights import without_weights
from ..results.store import RunStore
from ..results.trials import Searched, choose, mean_scores, read_search, scores_in
from .checks import cells_of
from .plan import Plan
from .tpe import STARTUP, import_optuna, propose
from .wanted import Asked, Wanted

Tried = tuple[TrialCell, ...]


def searching(experiment: Experiment, outlines: Outlines) -> Searching | None:
    """Return the search of an experiment, its ranges known to fit; None where nothing is searched."""
    search = experiment.search
    if search is None:
        return None
    spaces = {s.name: search_space(experiment, search, s, outlines[s.name].shape) for s in experiment.setups}
    if search.ranges or any(search.lists.values()):
        for setup in experiment.setups:
            _try_ends(replace(experiment, setups=(setup,)), spaces[setup.name], outlines[setup.name])

    whole = replace(experiment, seeds=(*experiment.seeds, *search.held_out))
    return Searching(search, spaces, cells_of(whole, outlines), most=experiment.max_cells)


def _try_ends(experiment: Experiment, space: Mapping[str, Range], outline: Outline) -> None:
    """Build everything on one data set with the first value of each range, with the second, and so on; ConfigError where one is refused."""
    for number in range(max((len(own.ends) for own in space.values()), default=0)):
        values = {key: own.ends[min(number, len(own.ends) - 1)] for key, own in space.items()}
        made = configured_experiment(experiment, values)
        (setup,) = made.setups
        with without_weights():
            network = build_network(setup.model, outline)
        try_parts(made, setup, network, len(outline.domains) - 1)


class Study:
    """A study chooses one trial: for a row by its own results, or for rows of all seeds by those of the held-out ones.

    Attributes:
        rows: by whose results it chooses; they get equal hyper-parameters.
        reported: further rows, which get the defaults and what is chosen; empty where the rows themselves are reported.
    """

    def __init__(self, rows: Sequence[Cell], reported: Sequence[Cell] = ()) -> None:
        self.rows, self.reported = rows, reported


class Searching:
    """This knows the rows of a search and asks for their trials.

    Args:
        search: what is searched.
        spaces: the range of each hyper-parameter, by name, for each data set by its name.
        cells: with the defaults, on all seeds; those of one seed in the same order as those of any other.
        most: cells that a grid may have.
    """

    def __init__(
        self,
        search: Search,
        spaces: Mapping[str, Mapping[str, Range]],
        cells: Sequence[Cell],
        *,
        most: int,
    ) -> None:
        if search.sampler == "tpe":
            import_optuna()
        self.search, self.most = search, most
        self.trials = Trials(search, spaces)
        by_seed: dict[int, list[Cell]] = {}
        for cell in cells:
            by_seed.setdefault(cell.group.seed, []).append(cell)
        held = [by_seed.pop(seed) for seed in search.held_out if seed in by_seed]
        reported = list(by_seed.values())
        if search.held_out:
            places = zip(zip(*held, strict=True), zip(*reported, strict=True), strict=True)
            self.studies = [Study(rows, others) for rows, others in places]
        else:
            self.studies = [Study([cell]) for cells in reported for cell in cells]
        self._check_size()

    def _check_size(self) -> None:
        count = sum(self.trials.count(s.rows[0]) * len(s.rows) + 2 * len(s.reported) for s in self.studies)
        if count > self.most:
            raise too_many_cells(count, self.most)

    @property
    def shown(self) -> list[Cell]:
        """Return the cells with the defaults that tables show: the grid without a search."""
        return [cell for study in self.studies for cell in (study.reported or study.rows)]

    def words(self, wanted: Wanted, whole: Plan, alone: Plan) -> str:
        """Say in one line what the search is and what it costs.

        Args:
            wanted: the trials that can be named now.
            whole: the plan of their cells.
            alone: the plan of `shown`.
        """
        counts = sorted({self.trials.count(study.rows[0]) for study in self.studies})
        trials = f"{counts[0]} trials" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} trials"
        names = list(dict.fromkeys(name for space in self.trials.spaces.values() for name in space))
        how = "all combinations" if self.search.trials is None else self.search.sampler
        by = f"on the held-out seeds {list(self.search.held_out)}" if self.search.held_out else "for each seed"
        further = f" and at most {wanted.later} more by their results" if wanted.later else ""
        cost = ""
        if whole.seconds is not None and alone.seconds is not None and whole.run:
            later = wanted.later * whole.seconds / len(whole.run)
            cost = f", about {(whole.seconds + later - alone.seconds) / 3600:.3g} hours more than without"
        return (
            f"search: {trials} of each of {len(self.shown)} rows ({how}: {', '.join(names)}), chosen by source validation {by}; "
            f"{len(whole.cells)} cells{further} in place of {len(alone.cells)}{cost}"
        )

    def ask(self, store: RunStore | None) -> Wanted:
        """Return the trials that can be named now, their keys worked out, by what a run folder has.

        Raises:
            ConfigError: the folder has another search of a row.
        """
        known = Searched() if store is None else read_search(store.root)
        wanted = self.wanted(known, scores_in(store, known.trial_keys) if store is not None and self.adaptive else {})
        prime_keys([trial.cell for trial in wanted.trials])
        for row in wanted.rows:
            known.add(row)
        return wanted

    @property
    def adaptive(self) -> bool:
        """Say whether results decide which trials there are."""
        return bool(self.search.held_out) or self.search.sampler != "random"

    def rounds(self, store: RunStore) -> Iterator[tuple[Wanted, list[Cell]]]:
        """Yield all trials that can be named, and which of the cells are new, until no cell is; each time by the folder."""
        asked: set[str] = set()
        while True:
            wanted = self.ask(store)
            fresh = [cell for cell in wanted.cells if cell.key not in asked]
            if not fresh:
                return
            yield wanted, fresh
            asked |= {cell.key for cell in fresh}
            if not wanted.later:
                return

    def wanted(self, known: Searched, scores: Mapping[str, float]) -> Wanted:
        """Return the trials that can be named now.

        Args:
            known: what the folder has of this search.
            scores: mean source-validation accuracy by key, of every cell that has a record; NaN without a result.
        """
        out = Wanted()
        for study in self.studies:
            self._ask(out, study, known, scores)
        return out

    def _ask(self, out: Wanted, study: Study, known: Searched, scores: Mapping[str, float]) -> None:
        tried = list(self._tried(study, known, scores))
        count = self.trials.count(study.rows[0])
        out.later += (count - len(tried)) * len(study.rows)
        by_row = list(zip(*(trials for _, trials in tried), strict=True))
        for row, trials in zip(study.rows, by_row, strict=True):
            out.asked.append(Asked(() if study.reported else (row,), trials))
        if not study.reported:
            return
        keys = [{trial.number: trial.cell.key for trial in trials} for trials in by_row]
        decided = len(tried) == count and all(key in scores for own in keys for key in own.values())
        chosen = choose(mean_scores(keys, scores)) if decided else None
        out.later += 0 if decided else len(study.reported)
        for row in study.reported:
            own = [self.trials.trial(row, number, tried[number][0]) for number in ([0, chosen] if chosen else [0])]
            out.asked.append(Asked(tuple(study.rows), tuple(own)))

    def _tried(self, study: Study, known: Searched, scores: Mapping[str, float]) -> Iterator[tuple[Values, Tried]]:
        """The trials of a study that can be named: hyper-parameters, and a trial of each row; Optuna's one by one."""
        row = study.rows[0]
        there = {t.number: t.values for t in known.rows[row.key].trials} if row.key in known.rows else {}
        seen: list[tuple[Values, float]] = []
        for number in range(self.trials.count(row)):
            if self.search.sampler == "random" or number < STARTUP:
                values = self.trials.values(row, number)
            elif number in there:
                values = there[number]
            elif len(seen) == number:
                values = propose(self.trials.space(row), seen, f"{row.key}/{number}")
            else:
                return
            trials = tuple(self.trials.trial(other, number, values) for other in study.rows)
            yield values, trials
            if self.search.sampler == "random" or len(seen) < number:
                continue
            keys = [trial.cell.key for trial in trials]
            if all(key in scores for key in keys):
                seen.append((values, sum(scores[key] for key in keys) / len(keys)))
