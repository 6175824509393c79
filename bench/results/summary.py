"""The records of a folder in brief: fast enough for 100,000 of them. Imports no torch.

A record's JSON has a fixed order, so that the few values wanted here are cut out of the text; what looks different
is parsed in full.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import NamedTuple

from ...core.errors import RecordError
from .record import SCHEMA, STATUSES, Labels, Record
from .store import RunStore

DAMAGED = "damaged"
"""The state of a cell whose file cannot be read, beside the statuses of a record."""
_END = f'"schema": {SCHEMA}\n}}'


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


def _cut(text: str, before: str, after: str, start: int = 0) -> tuple[str, int]:
    begin = text.index(before, start) + len(before)
    end = text.index(after, begin)
    return text[begin:end], end


class _Scanner:
    def __init__(self) -> None:
        self.labels: dict[str, Labels] = {}

    def brief(self, key: str, text: str, modified: float) -> RecordSummary:
        try:
            if not text.endswith(_END):
                raise ValueError
            return self._fast(key, text, modified)
        except (ValueError, KeyError, TypeError):
            return self._slow(key, text, modified)

    def _fast(self, key: str, text: str, modified: float) -> RecordSummary:
        status, at = _cut(text, '"status": "', '"')
        raw, at = _cut(text, '"labels": ', "}", at)
        if status not in STATUSES:
            raise ValueError(status)
        if raw not in self.labels:
            self.labels[raw] = Labels(**json.loads(raw + "}"))
        labels = self.labels[raw]
        if status != "done":
            reason, _ = _cut(text, '\n "reason": ', ",\n", at)
            return RecordSummary(key, status, labels, str(json.loads(reason)), modified)
        total, at = _cut(text, '"steps": ', ",", at)
        start, _ = _cut(text, '"start_step": ', ",", at)
        timings, _ = _cut(text, '\n "timings": ', "}", text.rindex('\n "timings": ') - 1)
        return self._timed(key, labels, modified, json.loads(timings + "}"), int(total) - int(start))

    def _timed(self, key: str, labels: Labels, modified: float, timings: dict[str, float], steps: int) -> RecordSummary:
        branch = timings.get("branch_s", 0.0)
        seconds = max(branch, timings.get("total_s", 0.0) - timings.get("float_s", 0.0))
        return RecordSummary(key, "done", labels, "", modified, seconds, timings.get("step_ms", 0.0), steps)

    def _slow(self, key: str, text: str, modified: float) -> RecordSummary:
        try:
            record = Record.from_json(text, key)
        except RecordError as error:
            return RecordSummary(key, DAMAGED, None, str(error), modified)
        if record.status != "done":
            return RecordSummary(key, record.status, record.labels, record.reason, modified)
        protocol = record.settings.get("protocol", {})
        steps = int(protocol.get("steps", 0)) - int(protocol.get("start_step", 0))
        return self._timed(key, record.labels, modified, record.timings, steps)


def _read(path: str) -> tuple[str, float]:
    handle = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(handle)
        data = os.read(handle, status.st_size)
    finally:
        os.close(handle)
    return data.decode("utf-8", "replace"), status.st_mtime


def scan(store: RunStore) -> Iterator[RecordSummary]:
    """Summarise every record of a folder, in no order; damaged ones come with their reason."""
    scanner, folder = _Scanner(), store.root / "cells"
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
            yield scanner.brief(entry.name[: -len(".json")], text, modified)
