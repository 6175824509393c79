"""A run folder as tidy data frames; the records themselves are not kept in memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ...bench.results.deployment import Deployment
from ...bench.results.verdict_rules import Rules, read_rules
from ...core.errors import RecordError
from ..plugins import Problem
from ..text import escape
from .columns import METHOD, ROW, SECTION, Section, of_section, ordered
from .cube import Cube
from .deployments import with_labels
from .ensembles import ENSEMBLES, of_equal_seeds
from .flatness_rows import FLATNESS
from .line_ups import LineUp, line_ups
from .metric_rows import METRIC
from .reader import Reader
from .record_rows import CURVE, LATENCY, SIZES, audit_columns
from .roles import Roles
from .trials import TRIALS, Chosen, choose_trials, visible
from .variants import distinguish

CELL = [*SECTION, *ROW, "target", "seed", "status", "reason", "accuracy", "source", "step", "key"]
UNKNOWN_SELECTION = "any"


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that a report uses, in reading order.

    Attributes:
        cells: one row per (cell, selection rule), columns CELL; ``accuracy`` is on the target's 80 % part,
            ``source`` the mean over domains of source validation, both 0 to 1, NaN where the cell is not done; the rows of such a cell are those its peers have.
        sizes: one row per cell with the bytes of its files.
        audit: one row per cell with evidence that its quantizer worked.
        latency: one row per measurement.
        curves: one row per cell and checkpoint: key, step, source_acc, target_out (0 to 1), noise.
        flatness: one row per cell and measure.
        deployed: what `quantdg deploy` stored, under the labels of this report.
        ensembles: one row per row of a table and target, columns ENSEMBLES; of the seeds that most have.
        metrics: one row per cell and metric of another package: key, metric, value.
        roles: of the quantizers, by their labels here.
        rules: by which the verdict answers.
        problems: (file relative to the run folder, reason) of what could not be used.
        failed_metrics: (metric, reason) of those that gave no number for some record.
        provenance: (path, value) -> number of records.
        protocols: (section, setting, value) of everything the protocols fix.
        forms: (data set, model, protocol, algorithm, quantizer, bits) -> all settings but target and seed, dotted, as JSON.
        trials: one row for each row of a table that a search stands behind, columns TRIALS after its labels.
        without_search: ``cells`` with the default hyper-parameters in place of the chosen ones; empty without a search.
    """

    cells: pd.DataFrame
    sizes: pd.DataFrame
    audit: pd.DataFrame
    latency: pd.DataFrame
    curves: pd.DataFrame
    flatness: pd.DataFrame
    metrics: pd.DataFrame
    ensembles: pd.DataFrame
    roles: Roles
    rules: Rules = field(default_factory=Rules)
    deployed: tuple[Deployment, ...] = ()
    problems: tuple[Problem, ...] = ()
    failed_metrics: tuple[Problem, ...] = ()
    provenance: Counter[tuple[str, str]] = field(default_factory=Counter)
    protocols: tuple[tuple[Section, str, str], ...] = ()
    forms: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    trials: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=[*SECTION, *METHOD, "target", "seed", *TRIALS])
    )
    without_search: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CELL))

    def sections(self) -> Iterator[tuple[Section, pd.DataFrame]]:
        """Yield the cells of each (data set, model, protocol); averages never cross these."""
        for (dataset, model, protocol), group in self.cells.groupby(SECTION, sort=True):
            yield (str(dataset), str(model), str(protocol)), group.reset_index(drop=True)

    @cached_property
    def cubes(self) -> dict[Section, Cube]:
        """Return each section's accuracies as arrays."""
        return {section: Cube.of(cells) for section, cells in self.sections()}

    @cached_property
    def line_ups(self) -> list[LineUp]:
        """Return which sections of several data sets stand side by side."""
        return line_ups(section for section, _ in self.sections())

    @cached_property
    def line_up_names(self) -> list[str]:
        """Return a file-name part for each line-up, unique whatever the labels hold."""
        return _distinct(line_up.name for line_up in self.line_ups)

    def cells_of(self, line_up: LineUp) -> pd.DataFrame:
        """Return the cells of sections that stand side by side, as if of one model and protocol, in reading order."""
        parts = [of_section(self.cells, section) for section in line_up.sections]
        return pd.concat(parts, ignore_index=True).assign(model="", protocol="")

    @cached_property
    def cubes_together(self) -> dict[LineUp, Cube]:
        """Return the accuracies of each line-up, whose targets are the domains of all its data sets."""
        return {line_up: Cube.of(self.cells_of(line_up)) for line_up in self.line_ups if line_up.independent}

    @cached_property
    def section_names(self) -> dict[Section, str]:
        """Return a file-name part for each section, unique whatever the labels hold."""
        sections = [section for section, _ in self.sections()]
        names = _distinct("-".join(escape.slug(part) for part in section) for section in sections)
        return dict(zip(sections, names, strict=True))


def _distinct(names: Iterable[str]) -> list[str]:
    """Append numbers to names that come again."""
    taken: Counter[str] = Counter()
    out = []
    for name in names:
        taken[name] += 1
        out.append(name if taken[name] == 1 else f"{name}.{taken[name]}")
    return out


def _expand(cells: pd.DataFrame) -> pd.DataFrame:
    """One row per selection rule for the cells that have no result."""
    done = cells[cells["selection"].notna()]
    empty = cells[cells["selection"].isna()].drop(columns="selection")
    if empty.empty:
        return cells
    rules = done[[*SECTION, "algorithm", "selection"]].drop_duplicates()
    anywhere = done[[*SECTION, "selection"]].drop_duplicates()
    near = empty.merge(rules, on=[*SECTION, "algorithm"], how="left")
    far = near[near["selection"].isna()].drop(columns="selection").merge(anywhere, on=SECTION, how="left")
    far["selection"] = far["selection"].astype(object).fillna(UNKNOWN_SELECTION)
    return pd.concat([done, near[near["selection"].notna()], far], ignore_index=True)


def load(root: Path) -> Results:
    """Read a run folder.

    Raises:
        RecordError: ``root`` is no run folder, was written with another schema, or holds two cells
            that cannot be told apart.
    """
    reader = Reader(root)
    reader.read()
    return _results(reader, read_rules(root) or Rules())


def _protocols(cells: pd.DataFrame) -> tuple[tuple[Section, str, str], ...]:
    """What each section's protocol fixes, from the settings, and the backbone's weights; sorted."""
    found = {
        ((dataset, model, protocol), path.rpartition(".")[2], str(value))
        for dataset, model, protocol, form in cells[[*SECTION, "form"]].drop_duplicates().itertuples(index=False)
        for path, value in json.loads(form).items()
        if path.startswith("protocol.") or path == "model.options.weights"
    }
    return tuple(sorted(found))


def _distinguished(chosen: Chosen) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The kept cells and those without a search, under the same labels."""
    if chosen.rows.empty:
        return distinguish(chosen.kept), chosen.without.iloc[:0]
    both = [frame.assign(searched=searched) for frame, searched in ((chosen.kept, True), (chosen.without, False))]
    named = distinguish(pd.concat(both, ignore_index=True))
    return named[named["searched"]], named[~named["searched"]]


def _results(reader: Reader, rules: Rules) -> Results:
    raw = pd.DataFrame(reader.cells, columns=[*CELL, "form", "role", "meaning"])
    chosen = choose_trials(raw, reader.searched)
    named, without = _distinguished(chosen)
    names = named.drop_duplicates("key").set_index("key")[[*SECTION, "algorithm", "quantizer", "bits"]]
    roles = Roles.of(named[["quantizer", "role", "meaning"]].itertuples(index=False, name=None))
    cells = ordered(_expand(named)[CELL], roles)
    twice = cells[cells.duplicated([*SECTION, *ROW, "target", "seed"], keep=False)]
    if len(twice):
        keys = ", ".join(sorted(twice["key"].unique())[:2])
        raise RecordError(f"a cell must be there once, but {keys} have the same labels and settings; remove one file")

    def labelled(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
        own = pd.DataFrame(visible(rows, chosen.hidden), columns=["key", *columns])
        return ordered(own.join(names, on="key"), roles)

    latency = pd.DataFrame(visible(reader.latency, chosen.hidden), columns=[*SECTION, *METHOD, *LATENCY])
    if len(latency):
        relabelled = latency[["key"]].join(names, on="key")
        latency = relabelled.combine_first(latency)[[*SECTION, *METHOD, *LATENCY]]
    forms = named.drop_duplicates([*SECTION, *METHOD])[[*SECTION, *METHOD, "form"]]
    return Results(
        cells=cells,
        sizes=labelled(reader.sizes, SIZES),
        audit=labelled(reader.audit, audit_columns(reader.audit)),
        latency=ordered(latency, roles),
        curves=pd.DataFrame(reader.curves, columns=CURVE),
        flatness=labelled(reader.flatness, FLATNESS),
        metrics=labelled(reader.metrics, METRIC),
        ensembles=of_equal_seeds(labelled(reader.ensembles, ENSEMBLES)),
        roles=roles,
        rules=rules,
        deployed=with_labels((d for d in reader.deployed if d.key not in chosen.hidden), names),
        problems=tuple(reader.problems),
        failed_metrics=tuple(reader.measured.problems()),
        provenance=reader.provenance,
        protocols=_protocols(named),
        forms={tuple(map(str, row[:-1])): row[-1] for row in forms.itertuples(index=False, name=None)},
        trials=_trials(chosen, named, roles),
        without_search=ordered(_expand(without)[CELL], roles),
    )


def _trials(chosen: Chosen, named: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    labels = named.drop_duplicates("key").set_index("key")[[*SECTION, *METHOD, "target", "seed"]]
    return ordered(chosen.rows.join(labels, on="key")[[*SECTION, *METHOD, "target", "seed", *TRIALS]], roles)
