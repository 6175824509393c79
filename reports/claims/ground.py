"""What claims are judged on: sections side by side as the verdict has them, whatever step quantization starts at."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from ...bench.recipes.names import installed_names
from ...bench.recipes.recipe import USUAL
from ...bench.results.record import HEADLINE, LAST, ORACLE
from ...core.errors import ConfigError, UnknownNameError
from ..frames.columns import ACROSS, SECTION, Section, in_section
from ..frames.cube import MISSING, Cube, Method
from ..frames.ensembles import ENSEMBLE, SINGLE, as_cells
from ..frames.line_ups import LineUp, line_ups
from ..frames.results import Results
from ..frames.roles import base_name
from ..verdict.contrasts import BASELINE
from .statement import ACCURACY, METHODS, TOGETHER, ClaimFile, RowPick

_START = re.compile(r",? ?start_step=[^,)]*")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Sections of one model and protocol, each data set once.

    Attributes:
        name: model and protocol.
        model: of the sections; several are joined by ``+``.
        datasets: of the sections.
        start: the share of the steps that goes without saying, where it is the same for all data sets; else empty.
        cells: their cells, with the column ``start``; the algorithm of one that starts elsewhere than usual says so.
        flatness: measures of the deployed weights by key.
        ensembles: of seeds, by the key of a member.
    """

    name: str
    model: str
    datasets: tuple[str, ...]
    start: str
    cells: pd.DataFrame = field(repr=False)
    flatness: pd.DataFrame = field(repr=False)
    ensembles: pd.DataFrame = field(repr=False)
    _cubes: dict[tuple[tuple[str, ...], str], Cube] = field(default_factory=dict, repr=False, compare=False)

    def cube(self, datasets: Collection[str], metric: str) -> Cube:
        """Arrange what was measured on some of the data sets.

        Args:
            datasets: none for all.
            metric: ``accuracy`` or that of `TOGETHER`, in percent, or a measure of flatness of the selection by source validation.
        """
        chosen = tuple(name for name in self.datasets if name in datasets or not datasets)
        if (chosen, metric) not in self._cubes:
            self._cubes[chosen, metric] = self._arranged(chosen, metric)
        return self._cubes[chosen, metric]

    def _arranged(self, datasets: Collection[str], metric: str) -> Cube:
        own = self.cells[self.cells["dataset"].isin(datasets)]
        own = own.assign(**dict(zip(SECTION[1:], ACROSS[1:], strict=True)))
        if metric != ACCURACY:
            own = own[own["selection"] == HEADLINE]
        if metric == TOGETHER:
            own = as_cells(self.ensembles, own)
        elif metric != ACCURACY:
            own = own.assign(accuracy=own["key"].map(self.measured(metric)).astype(float) / 100)
        return Cube.of(own)

    def measured(self, metric: str, column: str = "value") -> pd.Series[float]:
        """Return a column of the rows of a measure of flatness, or of ensembles, by key."""
        if metric == TOGETHER:
            return self.ensembles.set_index("key")[ENSEMBLE]
        measure, _, place = metric.partition(" on ")
        rows = self.flatness[(self.flatness["measure"] == measure) & (self.flatness["place"] == place)]
        return rows.drop_duplicates("key").set_index("key")[column]


def started(algorithm: str, start: str) -> str:
    """Name the rows that are quantized from another step than usual."""
    return f"{algorithm} from {start}" if start else algorithm


def _starts(results: Results) -> Mapping[Section, str]:
    """The share of the steps at which each section's quantization starts; empty where its records do not say."""
    said: dict[Section, dict[str, str]] = {}
    for section, setting, value in results.protocols:
        said.setdefault(section, {})[setting] = value
    shares = {section: (own.get("start_step"), own.get("steps")) for section, own in said.items()}
    return {
        section: f"{float(start) / float(steps):.2g}" if start and steps else ""
        for section, (start, steps) in shares.items()
    }


def _without_start(protocol: str) -> str:
    return _START.sub("", protocol).replace("(, ", "(").replace(" ()", "")


def _usual(starts: Collection[str], dataset: str, asked: str) -> str:
    """The start that goes without saying."""
    if len(starts) == 1:
        return next(iter(starts))
    if asked not in starts:
        found = ", ".join(sorted(starts))
        raise ConfigError(
            f"{dataset} was quantized from several shares of the steps, {found}, and the file must say which one goes without "
            f"saying, got {asked or 'none'}; write one of them at its head, for example start: {min(starts)}"
        )
    return asked


def grounds(results: Results, asked: str = "") -> Iterator[Ground]:
    """Yield what stands side by side in a run folder, in reading order.

    Args:
        results: of a run folder.
        asked: the start, as a share of the steps, that goes without saying where a data set has several.

    Raises:
        ConfigError: a data set has several and ``asked`` is none of them.
    """
    starts = _starts(results)
    keys = [tuple(map(str, section)) for section in results.cells[SECTION].itertuples(index=False, name=None)]
    cells = results.cells.assign(start=[starts.get(key, "") for key in keys])  # type: ignore[arg-type]
    cells["protocol"] = cells["protocol"].map(_without_start)
    flat = results.flatness
    deployed = flat[flat["weights"] == "deployed"]
    sections = [tuple(map(str, s)) for s in cells[SECTION].drop_duplicates().itertuples(index=False, name=None)]
    side_by_side = [up for up in line_ups(sections) if up.independent]  # type: ignore[arg-type]
    together = {section for up in side_by_side for section in up.sections}
    alone = [((section,), ", ".join(section)) for section in sections if section not in together]
    for found, name in [*((up.sections, up.words) for up in side_by_side), *alone]:
        parts, usuals = [], set()
        for section in found:
            part = cells[in_section(cells, section)]  # type: ignore[arg-type]
            usual = _usual(set(part["start"]), section[0], asked)
            usuals.add(usual)
            named = [started(a, "" if s == usual else s) for a, s in zip(part["algorithm"], part["start"], strict=True)]
            parts.append(part.assign(algorithm=named))
        datasets = tuple(section[0] for section in found)
        own, start = pd.concat(parts, ignore_index=True), usuals.pop() if len(usuals) == 1 else ""
        yield Ground(
            name=name,
            model=LineUp(found).model,  # type: ignore[arg-type]
            datasets=datasets,
            start=start,
            cells=own,
            flatness=deployed,
            ensembles=results.ensembles,
        )


def check_names(stated: ClaimFile, results: Results) -> None:
    """Refuse a name that is neither in the folder nor installed: it would match nothing, ever.

    Raises:
        UnknownNameError: with the nearest name.
    """
    cells = results.cells
    known = {
        "quantizer": {METHODS, *cells["quantizer"], *map(base_name, cells["quantizer"]), *installed_names("quantizer")},
        "algorithm": {*cells["algorithm"], *map(base_name, cells["algorithm"]), *installed_names("algorithm")},
        "selection": {HEADLINE, LAST, ORACLE, ENSEMBLE, SINGLE, *cells["selection"], *installed_names("averaging")},
    }
    added = {name for group, usual in USUAL.items() for name in installed_names(group) if name != usual}
    datasets = {*cells["dataset"], *installed_names("dataset")}
    for scope in stated.scopes.values():
        for name in scope:
            if name not in datasets:
                raise UnknownNameError("data set", name, datasets)
    for claim in stated.claims:
        for pick in claim.picks:
            for column, names in known.items():
                for name in getattr(pick, column):
                    _check_name(f"{column} (claim {claim.id})", name, names, added if column == "algorithm" else set())


def _check_name(what: str, name: str, names: set[str], added: set[str]) -> None:
    """Refuse a name; that of an algorithm may go on with the parts it is run with, ``erm+mixup+sam``, in this or another folder."""
    if name in names:
        return
    first, *others = name.split("+") if added else [name]
    for part, known in ((first, names), *((other, added) for other in others)):
        if part not in known:
            raise UnknownNameError(what, part, known)


def picked(pick: RowPick, cube: Cube, results: Results) -> tuple[list[Method], list[str]]:
    """Find the rows of a pick: those that are there, and in words those that are not.

    Raises:
        ConfigError: a name stands for several rows that differ in their settings.
    """
    found: list[Method] = []
    absent: list[str] = []
    labels = {m[0] for m in cube.methods}
    algorithms = [label_of(name, labels) or name for name in pick.algorithm or (BASELINE,)]
    selections = pick.selection or (HEADLINE,)
    places = [(started(a, t), s) for a in algorithms for t in pick.start or ("",) for s in selections]
    for algorithm, selection in places:
        here = [m for m in cube.methods if (m[0], m[3]) == (algorithm, selection)]
        for quantizer in pick.quantizer or (METHODS,):
            label = label_of(quantizer, {m[1] for m in here})
            named = [m for m in here if (results.roles.is_method(m[1]) if quantizer == METHODS else m[1] == label)]
            for bits in pick.bits or ("",):
                own = [m for m in named if bits in ("", m[2])]
                found += own
                if not own and quantizer != METHODS:
                    absent.append(RowPick(quantizer=(quantizer,), bits=(bits,), algorithm=(algorithm,)).words)
    if not found and not absent:
        absent.append(pick.words)
    return list(dict.fromkeys(found)), absent


def label_of(name: str, labels: Collection[str]) -> str:
    """Return the label that a name stands for; empty where there is none.

    Raises:
        ConfigError: it stands for several rows that differ in their settings.
    """
    variants = sorted(label for label in labels if base_name(label) == name)
    if name in labels or not variants:
        return name if name in labels else ""
    raise ConfigError(
        f"{name} stands for several rows that differ in their settings; write one of {', '.join(map(repr, variants))}"
    )


def on_common_seeds(cube: Cube, methods: Collection[Method]) -> Cube:
    """Keep the seeds in which each of these rows was run at all: a row may by design have fewer than another."""
    own = [i for i, method in enumerate(cube.methods) if method in methods]
    keep = (cube.status[own] != MISSING).any(axis=1).all(axis=0)
    seeds = tuple(seed for seed, kept in zip(cube.seeds, keep, strict=True) if kept)
    return replace(
        cube, seeds=seeds, accuracy=cube.accuracy[..., keep], status=cube.status[..., keep], keys=cube.keys[..., keep]
    )
