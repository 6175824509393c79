"""One ensemble for each row and target domain: all its seeds, kept in the run folder for reports and claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import ConfigError
from ..deploy.stored import open_cell
from ..experiment.grid import Paths
from ..results.ensemble import EnsembleRecord, ensemble_file, ensemble_key, write_ensemble
from ..results.find import find_cells
from ..results.folder import is_regular
from ..results.provenance import machine, versions
from ..results.record import Record, fingerprint
from ..results.store import RunStore
from ..results.trials import those_that_count
from .cells import combine_cells

FEWEST = 2


@dataclass(frozen=True)
class SeedGroup:
    """The finished cells of one row and target domain.

    Attributes:
        store: their run folder.
        records: by rising seed.
    """

    store: RunStore
    records: tuple[Record, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """Their keys."""
        return tuple(record.key for record in self.records)

    @property
    def is_stored(self) -> bool:
        """Whether the run folder has this ensemble."""
        return is_regular(self.store.path(ensemble_file(ensemble_key(self.members))))


def seed_groups(names: Sequence[str]) -> list[SeedGroup]:
    """Group the finished cells that names or patterns name by everything but their seed.

    Args:
        names: as for `find_cells`; of a search's trials those that count.

    Raises:
        ConfigError: no row has two seeds.
    """
    stores: dict[Path, tuple[RunStore, dict[str, None]]] = {}
    for store, keys in map(find_cells, names):
        stores.setdefault(store.root.resolve(), (store, {}))[1].update(dict.fromkeys(keys))
    groups = [group for store, keys in stores.values() for group in _groups(store, those_that_count(store, [*keys]))]
    several = [group for group in groups if len(group.records) >= FEWEST]
    if not several:
        raise ConfigError(
            f"an ensemble over seeds needs a row with at least {FEWEST} finished seeds, {', '.join(names)} have none; run more seeds"
        )
    return several


def _groups(store: RunStore, keys: Sequence[str]) -> Iterator[SeedGroup]:
    rows: dict[str, list[Record]] = {}
    for key in keys:
        record = store.load(key)
        if record.status == "done":
            rows.setdefault(fingerprint({**record.settings, "seed": None}), []).append(record)
    for records in rows.values():
        yield SeedGroup(store, tuple(sorted(records, key=lambda record: record.labels.seed)))


def combine_seeds(groups: Sequence[SeedGroup], paths: Paths) -> Iterator[EnsembleRecord]:
    """Combine each group by the mean of logits, store the ensemble, and yield it.

    Raises:
        RecordError: a cell has no stored model.
    """
    for group in groups:
        cells = [open_cell(group.store, record, paths) for record in group.records]
        made = combine_cells(cells, "logits")
        sizes = cells[0].record.sizes
        assert sizes is not None
        record = EnsembleRecord(
            key=ensemble_key(group.members), members=group.members, seeds=tuple(r.labels.seed for r in group.records),
            accuracy=made.accuracy, single=made.single, bytes=made.bytes, float_bytes=sizes.float_file, machine=machine(),
            versions=versions(),
        )  # fmt: skip
        write_ensemble(group.store.root, record)
        yield record
