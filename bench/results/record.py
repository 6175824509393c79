"""One cell, one record: the schema of everything a report may use. Imports no torch.

A record is a JSON file named after the hash of the cell's settings, so that the order of keys, the command
line and the machine do not matter, and running again finds what is done.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...core.errors import RecordError
from ...core.numbers import canonical
from .codec import converted, decoded, encoded, reading
from .confusion import Confusion
from .logits import Logits
from .record_check import check_content
from .roles import ROLES, known_standing
from .schema1 import upgraded

SCHEMA = 2
READABLE = (1, SCHEMA)
"""Records of schema 1, written by version 0.3, are read in the form of schema 2."""
TRAINING_VERSION = 3
"""A part of each cell's settings, raised whenever a change makes the same settings train differently."""
Status = Literal["done", "failed", "unsupported", "unavailable"]
STATUSES: tuple[Status, ...] = ("done", "failed", "unsupported", "unavailable")
REQUIRED = frozenset({"schema", "rows", "sizes"})
"""What every file of a record has, beside what the class has no default for."""
Selection = Literal["iid", "last", "oracle"]
"""The rules that choose one checkpoint; a weight average is a selection too, under a name of its own."""
HEADLINE: Selection = "iid"
"""The selection whose weights are stored and measured: best on source validation."""
LAST: Selection = "last"
ORACLE: Selection = "oracle"


def fingerprint(settings: Any) -> str:
    """Return the identity of nested settings: 16 hex digits of sha256 over canonical JSON, whatever their order."""
    text = json.dumps(canonical(settings), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pack_bits(correct: NDArray[np.bool_]) -> str:
    """Write per-example correctness as base64 of packed bits; 10,000 examples take 1.7 kB."""
    return base64.b64encode(np.packbits(correct).tobytes()).decode()


def unpack_bits(text: str, count: int) -> NDArray[np.bool_]:
    """Undo `pack_bits` for ``count`` examples."""
    packed = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
    return np.unpackbits(packed, count=count).astype(bool)


def quantizer_label(quantizer: str, bits: str) -> str:
    """Name a quantizer with its bits, ``lsq W7``; ``float`` and ``freeze``, which have none, stand alone."""
    return quantizer if bits == "float" else f"{quantizer} {bits}"


@dataclass(frozen=True)
class Labels:
    """A table groups by these; all are taken from the settings.

    ``quantizer`` is the configuration's name (``lsq``), ``bits`` its spec in short (``W7``, ``W7A8``, ``W4A4 mixed``,
    ``float``).
    """

    dataset: str
    target: str
    seed: int
    algorithm: str
    quantizer: str
    bits: str
    model: str
    protocol: str

    @property
    def path(self) -> str:
        """A pattern is matched against this, for example ``digits/thick/0/erm/lsq/W7``."""
        return "/".join(map(str, (self.dataset, self.target, self.seed, self.algorithm, self.quantizer, self.bits)))


LABELS = tuple(field.name for field in fields(Labels))


@dataclass(frozen=True)
class Row:
    """A row has the accuracies of one selection rule: ``last``, ``iid``, ``oracle`` or an average (``swad``).

    Attributes:
        step: the checkpoint chosen; for an average its last step.
        target_in: accuracy on the target's 80 % part, 0 to 1: the number tables report.
        target_out: accuracy on the target's 20 % part; only the oracle selects by it.
        source_out: source-validation accuracy of each source domain.
        source_loss: mean over source domains of the validation cross-entropy.
        correct: packed correctness of the whole target domain, in data-set order (`unpack_bits`).
        note: for averages, the policy the quantizer applied.
    """

    step: int
    target_in: float
    target_out: float
    source_out: dict[str, float]
    source_loss: float
    correct: str
    note: str = ""


@dataclass(frozen=True)
class Sizes:
    """These are bytes of files really written and read back.

    ``float_file`` holds the whole network in float32, ``packed_file`` integer codes, scales and the float rest;
    ``codes``, ``scales`` and ``rest`` are the tensor bytes inside the packed file. ``path`` is relative to the run
    folder and may be empty. ``checksum`` is the packed file's (`quantdg.bench.results.seal`), empty in records of before
    0.4, whose files are read unchecked.
    """

    float_file: int
    packed_file: int
    codes: int
    scales: int
    rest: int
    path: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class Record:
    """A record is a cell's result, or says why there is none.

    Attributes:
        settings: the identity of the cell; ``key`` is its fingerprint.
        status: ``done``, or one of the other statuses.
        reason: why it is not ``done``, in one line; empty where it is.
        rows: by selection name.
        target_count: examples in the target domain.
        curve: one entry a checkpoint: step, train_loss, source_acc, source_loss, target_out.
        plan: sites, skipped (name, reason), parameters, frozen; ``match`` where the noise was matched.
        audit: site name -> evidence that the quantizer worked; numbers of one method alone are called ``own.NAME``.
        outputs: module name -> evidence that the quantizer of what it returns was trained; empty in records of before 0.4.
        noise: site name -> std(w_q - w) / std(w) at insertion and then at each checkpoint of ``curve``.
        log: where a failed cell's traceback is, relative to the run folder; empty for others and before 0.4.
        logits: of the iid weights on some target images; None in records of before 0.4.
        confusion: of the iid weights, true by predicted class, on the target's 80 % part; None in records of before 0.4.
        flatness: of the iid weights, see docs/flatness.md; empty where it was not measured.
        timings: seconds by phase, and ms for a step.
        provenance: versions, machine, git state, time.
        role: of the quantizer: ``baseline``, ``control`` or ``method``; left empty, as in records of before 0.4,
            it follows from the quantizer's name, and so does ``meaning``.
        meaning: what a control does, in words; empty for the others.
    """

    key: str
    status: Status
    labels: Labels
    settings: dict[str, Any]
    reason: str = ""
    rows: dict[str, Row] = field(default_factory=dict)
    target_count: int = 0
    curve: list[dict[str, float | int]] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)
    audit: dict[str, dict[str, float | int | None]] = field(default_factory=dict)
    sizes: Sizes | None = None
    timings: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    noise: dict[str, list[float]] = field(default_factory=dict)
    flatness: dict[str, Any] = field(default_factory=dict)
    role: str = ""
    meaning: str = ""
    logits: Logits | None = None
    confusion: Confusion | None = None
    log: str = ""
    outputs: dict[str, dict[str, float | None]] = field(default_factory=dict)
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.role in ROLES:
            return
        if self.role:
            raise RecordError(f"role must be one of {', '.join(ROLES)}, got {self.role!r}; run the cell again")
        known = known_standing(self.labels.quantizer)
        object.__setattr__(self, "role", known.role)
        object.__setattr__(self, "meaning", known.meaning)

    def to_json(self) -> str:
        """Return the record as JSON indented by 1; a number that is not finite is a RecordError that names the field."""
        return encoded(self)

    @classmethod
    def from_json(cls, text: str, name: str = "record", key: str | None = None) -> Record:
        """Parse and check a record.

        Args:
            text: of its file.
            name: goes into the message of the RecordError.
            key: the record must have this one; None for any.
        """
        with reading(name, "record"):
            head = msgspec.json.decode(text, type=RecordHead)
            head.check(name)
            if head.schema == SCHEMA:
                record = decoded(cls, text, REQUIRED)
            else:
                raw = upgraded(msgspec.json.decode(text))
                record = converted(cls, {**raw, "settings": canonical(raw["settings"])}, REQUIRED)
        check_content(record, name, key)
        return record


class RecordHead(msgspec.Struct):
    """What tells whether a record can be read; a file may hold more."""

    schema: int
    status: str

    def check(self, name: str) -> None:
        """Raise a RecordError that begins with ``name`` where this version cannot read the record."""
        if self.schema not in READABLE:
            raise RecordError(f"{name} has schema {self.schema}, this version reads 1 and {SCHEMA}; run it again")
        if self.status not in STATUSES:
            raise RecordError(f"{name} has status {self.status!r}, which is none of {', '.join(STATUSES)}")
