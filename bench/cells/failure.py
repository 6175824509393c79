"""What a failed cell leaves: a record with the reason in one line, and the traceback in RUNS/log/KEY.txt."""

from __future__ import annotations

import traceback
from dataclasses import replace

from ...core.errors import DivergedError, QuantDGError, RecordError, one_line
from ..experiment.grid import Cell
from ..experiment.launcher import Launcher
from ..results.record import Record
from ..results.store import RunStore
from .execute import without_result

MOST = 100_000
"""Characters of a log: its end, where the error is."""


class CellFailedError(QuantDGError):
    """A cell failed while the run was to stop at the first failure; the cause is the error itself."""

    def __init__(self, cell: Cell) -> None:
        super().__init__(f"{cell.labels.path} ({cell.key}) failed; nothing of it is stored")


def check_finite(record: Record) -> None:
    """Raise DivergedError for a number that is none: that is a failure of the cell, not of whoever stores its record."""
    try:
        record.to_json()
    except RecordError as error:
        raise DivergedError(f"{error}; lower protocol.lr or the quantizer's lr_ratio") from error


def failed_record(cell: Cell, error: BaseException, store: RunStore, launcher: Launcher) -> Record:
    """Keep the traceback and return the record that names it; StorageError where the folder cannot be written."""
    text = "".join(traceback.format_exception(error))[-MOST:]
    store.discard_model(cell.key)
    log = store.write_log(cell.key, f"{cell.labels.path} ({cell.key})\n\n{text}")
    return replace(without_result(cell, "failed", one_line(error), launcher), log=log)
