"""The records of a folder in brief: fast enough for 100,000 of them. Imports no torch.

Only the few values wanted here are decoded; the rest of the text is skipped, but must be JSON.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from ...core.errors import RecordError
from .codec import WRONG, complaint
from .record import Labels, RecordHead
from .store import RunStore

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
    """

    key: str
    state: str
    labels: Labels | None
    reason: str
    modified: float
    branch_s: float = 0.0
    step_ms: float = 0.0
    steps: int = 0


class _Protocol(msgspec.Struct, frozen=True, gc=False):
    steps: int = 0
    start_step: int = 0


class _Settings(msgspec.Struct, gc=False):
    protocol: _Protocol = _Protocol()


class _Timings(msgspec.Struct, gc=False):
    branch_s: float = 0.0
    step_ms: float = 0.0
    total_s: float = 0.0
    float_s: float = 0.0


class _Brief(RecordHead, gc=False):
    """The part of a record that is decoded; the rest is skipped."""

    labels: Labels
    reason: str
    settings: _Settings
    timings: _Timings


_DECODER = msgspec.json.Decoder(_Brief)


def summarize(key: str, text: bytes, modified: float) -> RecordSummary:
    """Return the record ``key``, whose file holds ``text``, in brief."""
    try:
        brief = _DECODER.decode(text)
        brief.check(key)
    except (RecordError, *WRONG) as error:
        said = str(error) if isinstance(error, RecordError) else complaint(key, "record", error)
        return RecordSummary(key, DAMAGED, None, said, modified=modified)
    if brief.status != "done":
        return RecordSummary(key, brief.status, brief.labels, brief.reason, modified=modified)
    took, protocol = brief.timings, brief.settings.protocol
    seconds = max(took.branch_s, took.total_s - took.float_s)
    steps = protocol.steps - protocol.start_step
    return RecordSummary(
        key, "done", brief.labels, "", modified=modified, branch_s=seconds, step_ms=took.step_ms, steps=steps
    )


def _read(path: str) -> tuple[bytes, float]:
    handle = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(handle)
        data = os.read(handle, status.st_size)
    finally:
        os.close(handle)
    return data, status.st_mtime


def scan(store: RunStore) -> Iterator[RecordSummary]:
    """Summarise every record of a folder, in no order; damaged ones come with their reason."""
    folder = store.root / "cells"
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(".json") or entry.name.startswith("."):
                continue
            try:
                text, modified = _read(entry.path)
            except FileNotFoundError:
                continue
            yield summarize(entry.name[: -len(".json")], text, modified)
