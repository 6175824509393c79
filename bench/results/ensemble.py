"""An ensemble of the seeds of one row: RUNS/ensembles/KEY.json, where KEY follows from its members. Imports no torch.

Its accuracy needs the members' models, which are not published; this record is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ...core.errors import RecordError
from .codec import Schema, decoded, encoded, reading
from .files import write_atomic
from .folder import check_key, check_name, inside
from .record import fingerprint
from .store import RunStore, Unreadable, parsed

SCHEMA = 1
FOLDER = "ensembles"
_REQUIRED = frozenset({"schema"})


@dataclass(frozen=True, kw_only=True)
class EnsembleRecord:
    """The mean of logits of cells that differ in their seed alone, scored on the whole target domain.

    Attributes:
        key: of the ensemble, see `ensemble_key`.
        members: keys of the cells, by rising seed.
        seeds: of the cells, in the same order.
        accuracy: of the ensemble, 0 to 1.
        single: accuracy of each member on the same images, 0 to 1.
        bytes: of the packed files of all members.
        float_bytes: of one member in float32.
        machine: where it was measured.
        versions: of the packages it was measured with.
    """

    key: str
    members: tuple[str, ...]
    seeds: tuple[int, ...]
    accuracy: float
    single: tuple[float, ...]
    bytes: int
    float_bytes: int
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Return the record as JSON indented by 1; a number that is not finite is a RecordError that names the field."""
        return encoded(self)

    @classmethod
    def from_json(cls, text: str, name: str = "ensemble") -> EnsembleRecord:
        """Parse and check; ``name`` goes into the message of the RecordError."""
        with reading(name, "record of an ensemble"):
            schema = msgspec.json.decode(text, type=Schema).schema
            if schema != SCHEMA:
                raise RecordError(f"{name} has schema {schema}, this version reads {SCHEMA}; combine the cells again")
            made = decoded(cls, text, _REQUIRED)
        made.check(name)
        return made

    def check(self, name: str) -> None:
        """Raise a RecordError that begins with ``name`` where the parts do not belong together."""
        for key in (self.key, *self.members):
            check_key(key, name)
        if self.key != ensemble_key(self.members):
            raise RecordError(
                f"{name} must have the key {ensemble_key(self.members)}, which its members give, got {self.key}"
            )
        if len(self.members) < 2 or not len(self.members) == len(self.seeds) == len(self.single):
            raise RecordError(
                f"{name} must have at least two members, each with seed and accuracy; combine the cells again"
            )
        if not all(0 <= share <= 1 for share in (self.accuracy, *self.single)) or min(self.bytes, self.float_bytes) < 1:
            raise RecordError(f"{name} has an accuracy outside 0 to 1, or no bytes; combine the cells again")


def ensemble_key(members: Sequence[str]) -> str:
    """Return the identity of an ensemble of these cells: 16 hexadecimal digits."""
    return fingerprint({"how": "logits", "members": list(members)})


def ensemble_file(key: str) -> str:
    """Return where the ensemble of this key is stored, relative to the run folder."""
    return f"{FOLDER}/{key}.json"


def write_ensemble(root: Path, ensemble: EnsembleRecord) -> None:
    """Store atomically below the run folder ``root``."""
    write_atomic(inside(root, ensemble_file(ensemble.key)), ensemble.to_json())


def ensembles(store: RunStore) -> Iterator[EnsembleRecord | Unreadable]:
    """Yield all of a run folder in file order; damaged files come as Unreadable."""
    return parsed(store.root, FOLDER, _named)


def _named(text: str, path: Path) -> EnsembleRecord:
    made = EnsembleRecord.from_json(text, str(path))
    check_name(path, ensemble_file(made.key))
    return made
