"""A section's results as arrays over (method, target domain, seed): the form every number is computed from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...bench.results.record import quantizer_label
from ...core.errors import RecordError
from ..stats.effect import Floats
from ..stats.units import DataSets, Domains, DomainsOfDataSets
from .columns import ROW, SECTION

Method = tuple[str, str, str, str]
MISSING = "missing"
NO_UNITS = Domains(())


def method_label(method: Method) -> str:
    """Name a method without its selection rule, for example ``coral lsq W7``."""
    return f"{method[0]} {quantizer_label(method[1], method[2])}"


@dataclass(frozen=True)
class Cube:
    """The accuracies of a section stand on its full grid.

    Attributes:
        methods: (algorithm, quantizer, bits, selection), in reading order.
        targets: every target domain that any method of the section has, sorted.
        seeds: every seed that any method of the section has, sorted.
        accuracy: percent, shape (methods, targets, seeds), NaN where there is no result.
        status: of the same shape; ``missing`` where there is no record.
        keys: of the same shape; the records, empty where there is none.
        units: what the targets are to a claim about further ones.
    """

    methods: tuple[Method, ...]
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    accuracy: Floats
    status: NDArray[Any]
    keys: NDArray[Any]
    units: Domains = NO_UNITS

    @classmethod
    def of(cls, cells: pd.DataFrame) -> Cube:
        """Arrange the cells of one section.

        Cells of several data sets (same model and protocol) may be given: a target is then called
        ``data set/target`` and is a domain of its own.

        Raises:
            RecordError: several models or protocols, which no average may mix.
        """
        mixed = cells[SECTION[1:]].drop_duplicates()
        if len(mixed) > 1:
            got = "; ".join(sorted(f"{model}, {protocol}" for model, protocol in mixed.to_numpy()))
            raise RecordError(f"cells of one average must share model and protocol, got {got}; take them apart first")
        several = cells["dataset"].nunique() > 1
        names = cells["dataset"] + "/" + cells["target"] if several else cells["target"]
        rows = pd.MultiIndex.from_frame(cells[ROW])
        methods = rows.unique()
        targets, seeds = np.unique(names.to_numpy(dtype=object)), np.unique(cells["seed"].to_numpy())
        place = (
            methods.get_indexer(rows),
            np.searchsorted(targets, names.to_numpy(dtype=object)),
            np.searchsorted(seeds, cells["seed"].to_numpy()),
        )
        shape = (len(methods), len(targets), len(seeds))
        accuracy, status = np.full(shape, np.nan), np.full(shape, MISSING, dtype=object)
        keys = np.full(shape, "", dtype=object)
        accuracy[place] = 100 * cells["accuracy"].to_numpy(dtype=float)
        status[place], keys[place] = cells["status"].to_numpy(), cells["key"].to_numpy()
        named = tuple((str(a), str(q), str(b), str(s)) for a, q, b, s in methods)
        domains = tuple(map(str, targets))
        of = dict(zip(names, cells["dataset"], strict=True))
        units = DomainsOfDataSets(domains, tuple(str(of[t]) for t in domains)) if several else Domains(domains)
        return cls(
            methods=named,
            targets=domains,
            seeds=tuple(map(int, seeds)),
            accuracy=accuracy,
            status=status,
            keys=keys,
            units=units,
        )

    def by_dataset(self) -> Cube:
        """Return the cube whose targets are the data sets: the mean over their domains within each seed.

        A data set with a gap has a gap; ``keys`` stay those of the single records.
        """
        of = np.array(self.units.strata if isinstance(self.units, DomainsOfDataSets) else self.targets)
        datasets = tuple(map(str, dict.fromkeys(of)))
        parts = [self.accuracy[:, of == name].mean(axis=1) for name in datasets]
        accuracy = np.stack(parts, axis=1)
        status = np.where(np.isfinite(accuracy), "done", MISSING).astype(object)
        return replace(self, targets=datasets, accuracy=accuracy, status=status, units=DataSets(datasets))

    @cached_property
    def _index(self) -> dict[Method, int]:
        return {method: i for i, method in enumerate(self.methods)}

    @cached_property
    def _keys(self) -> list[tuple[str, ...]]:
        """The keys of each method's records."""
        return [tuple(str(key) for key in own.ravel() if key) for own in self.keys]

    def of_method(self, method: Method) -> Floats:
        """Return the accuracies of one method, shape (targets, seeds), percent; all NaN for one that is not there."""
        if method not in self._index:
            return np.full(self.accuracy.shape[1:], np.nan)
        return np.asarray(self.accuracy[self._index[method]])

    def keys_of(self, *methods: Method) -> tuple[str, ...]:
        """Return the keys of the records behind these methods' accuracies."""
        return tuple(chain.from_iterable(self._keys[self._index[m]] for m in methods if m in self._index))

    def difference(self, treated: Method, baseline: Method) -> Floats:
        """Return the paired difference in points, shape (targets, seeds); NaN where either has no result."""
        return self.of_method(treated) - self.of_method(baseline)
