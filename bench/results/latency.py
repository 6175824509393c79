"""One latency measurement of one stored model. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ...core.errors import RecordError
from .codec import Schema, decoded, encoded, reading
from .folder import check_key, check_name
from .record import Labels

SCHEMA = 1


@dataclass(frozen=True)
class Latency:
    """This is one latency measurement of one stored model.

    Attributes:
        key: of the cell whose model was measured; ``labels`` of that cell.
        runtime: for example ``torch eager``.
        arithmetic: for example ``float32``, ``int8``.
        batch: images a call.
        threads: of the runtime.
        size: image side in pixels.
        median_ms: median wall time of one call over ``rounds`` interleaved rounds.
        q25_ms: lower quartile of the same.
        q75_ms: upper quartile of the same.
        ratio: median over rounds of this model's time over the float model's, same runtime.
        machine: as in a record's provenance.
    """

    key: str
    labels: Labels
    runtime: str
    arithmetic: str
    batch: int
    threads: int
    size: int
    median_ms: float
    q25_ms: float
    q75_ms: float
    rounds: int
    ratio: float
    machine: dict[str, Any]
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Return the measurement as JSON indented by 1; a number that is not finite is a RecordError that names the field."""
        return encoded(self)

    @property
    def file(self) -> str:
        """Where it is stored, relative to the run folder."""
        runtime = self.runtime.replace(" ", "-")
        return f"latency/{self.key}-{runtime}-{self.arithmetic}-b{self.batch}-t{self.threads}.json"

    @classmethod
    def from_json(cls, text: str, name: str = "latency") -> Latency:
        """Parse and check; ``name`` goes into the message of the RecordError."""
        with reading(name, "latency record"):
            schema = msgspec.json.decode(text, type=Schema).schema
            if schema != SCHEMA:
                raise RecordError(f"{name} has schema {schema}, this version reads {SCHEMA}; measure it again")
            made = decoded(cls, text)
            check_key(made.key, name)
            return made

    @classmethod
    def named(cls, text: str, path: Path) -> Latency:
        """Parse and check the file at ``path``, which must be named for what it holds: a copy is no second measurement."""
        made = cls.from_json(text, str(path))
        check_name(path, made.file)
        return made
