"""Whether the packed models of finished cells are still those that were measured. Imports no torch."""

from __future__ import annotations

from ...core.errors import RecordError
from ..results.folder import read_file
from ..results.seal import check_seal, is_sealed
from ..results.store import RunStore


def changed_model(store: RunStore, key: str, stored: float) -> str:
    """Say in what way the packed model of a finished cell is not that of its record; empty where it is, or is not there.

    Its header is looked at each time; its content where the file was touched after its record, so that a plan need not
    read every model.

    Args:
        store: the run folder.
        key: of the cell.
        stored: when its record was written, seconds of the file system's clock.
    """
    path = store.packed_path(key)
    try:
        touched = path.stat().st_mtime
    except OSError:
        return ""
    said = {"key": key}
    if touched <= stored and is_sealed(path, said):
        return ""
    record = store.read(key)
    if record is None or record.sizes is None:
        return ""
    try:
        check_seal(read_file(path), said if record.sizes.checksum else {}, wanted=record.sizes.checksum)
    except RecordError as error:
        return str(error)
    return ""
