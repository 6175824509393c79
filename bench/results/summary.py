"""The records of a folder in brief: fast enough for 100,000 of them. Imports no torch.

A record is whole here exactly where it is whole for a report, so that what counts as done has numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import msgspec

from ...core.errors import RecordError
from .codec import WRONG, complaint, form
from .folder import MOST_TEXT, entries, read_with_status
from .record import HEADLINE, LABELS, REQUIRED, SCHEMA, Labels, Record, RecordHead
from .record_check import check_content
from .store import CELLS, RunStore

DAMAGED = "damaged"
"""The state of a cell whose file cannot be read, beside the statuses of a record."""


class RecordSummary(NamedTuple):
    """This is one record in brief.

    Attributes:
        state: the record's status, or `DAMAGED`.
        labels: None for a damaged file.
        modified: when it was stored, seconds of the file system's clock.
        branch_s: wall time without the float phase, over all attempts; 0 where nothing was trained.
        step_ms: of a training step.
        steps: trained past the start step.
        source: source-validation accuracy of the iid checkpoint, mean over domains, 0 to 1; None where there is none.
        target: accuracy of the same weights on the target's 80 % part, 0 to 1; None where there is none.
    """

    key: str
    state: str
    labels: Labels | None
    reason: str
    modified: float
    branch_s: float = 0.0
    step_ms: float = 0.0
    steps: int = 0
    source: float | None = None
    target: float | None = None


_HEAD = msgspec.json.Decoder(RecordHead)


def _form(text: bytes, key: str) -> Any:
    """The record, or what has its fields: exactly where `Record.from_json` reads it, in half of its time."""
    head = _HEAD.decode(text)
    if head.schema != SCHEMA:
        return Record.from_json(text.decode(), key, key)
    head.check(key)
    found = form(Record, text, REQUIRED)
    check_content(found, key, key)
    return found


def summarize(key: str, text: bytes, modified: float) -> RecordSummary:
    """Return the record ``key``, whose file holds ``text``, in brief."""
    try:
        found = _form(text, key)
    except (RecordError, *WRONG) as error:
        said = str(error) if isinstance(error, RecordError) else complaint(key, "record", error)
        return RecordSummary(key, DAMAGED, None, said, modified=modified)
    labels = Labels(*(getattr(found.labels, name) for name in LABELS))
    if found.status != "done":
        return RecordSummary(key, found.status, labels, found.reason, modified=modified)
    took, protocol = found.timings, found.settings.get("protocol")
    seconds = max(took.get("branch_s", 0.0), took.get("total_s", 0.0) - took.get("float_s", 0.0))
    steps = _number(protocol, "steps") - _number(protocol, "start_step")
    step_ms = took.get("step_ms", 0.0)
    brief = RecordSummary(key, "done", labels, "", modified=modified, branch_s=seconds, step_ms=step_ms, steps=steps)
    row = found.rows.get(HEADLINE)
    if row is None:
        return brief
    source = fmean(row.source_out.values()) if row.source_out else None
    return brief._replace(source=source, target=row.target_in)


def _number(protocol: object, name: str) -> int:
    """A number of steps in the settings, which no type is declared for."""
    found = protocol.get(name, 0) if isinstance(protocol, dict) else 0
    return found if isinstance(found, int) else 0


def scan(store: RunStore) -> Iterator[RecordSummary]:
    """Summarise every record of a folder, in no order; damaged ones come with their reason."""
    for entry in entries(store.root, CELLS, ".json"):
        if (found := summarize_file(entry.path)) is not None:
            yield found


def summarize_file(place: str | Path) -> RecordSummary | None:
    """Return the record of one file in brief; None where the file is not there."""
    key = os.path.basename(place).removesuffix(".json")
    try:
        text, status = read_with_status(os.fspath(place), MOST_TEXT)
    except FileNotFoundError:
        return None
    except RecordError as error:
        return RecordSummary(key, DAMAGED, None, str(error), modified=0.0)
    return summarize(key, text, status.st_mtime)
