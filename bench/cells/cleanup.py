"""What killed processes have left in a run folder, and its removal."""

from __future__ import annotations

from pathlib import Path

from ..results.files import StorageError, remove, write_atomic
from ..results.folder import KEY, is_regular
from ..results.store import RunStore
from .lease import Leases
from .lease_file import Holder

DRAFT_SECONDS = 3600.0
"""No write takes longer; ages are differences on the file system's own clock."""


def remove_leftovers(store: RunStore) -> None:
    """Remove snapshots, drafts and leases of what is stored and nobody works on: their processes were killed.

    Raises StorageError.
    """
    leases, drafts = Leases(store.work), _drafts(store.root)
    for name in {_name(path) for path in (*store.work.glob("*"), *drafts)}:
        if not KEY.fullmatch(name) or not (store.cell_path(name).exists() or store.float_path(name).exists()):
            continue
        lease = leases.acquire(name)
        if isinstance(lease, Holder):
            continue
        with lease:
            remove(store.snapshot_path(name), *(draft for draft in drafts if _name(draft) == name))


def _drafts(root: Path) -> list[Path]:
    """The temporary files of writers; none behind a link."""
    return [path for path in root.glob("*/.*.tmp") if is_regular(path) and not path.parent.is_symlink()]


def _name(path: Path) -> str:
    """Of the cell or float phase that a lease, a snapshot or a draft belongs to."""
    return path.name.lstrip(".").partition(".")[0]


def remove_old_drafts(root: Path) -> None:
    """Remove temporary files of writers that were killed before anything was stored. Raises StorageError."""
    probe = root / "work" / ".now"
    write_atomic(probe, "")
    try:
        now = probe.stat().st_mtime
        probe.unlink()
        for draft in _drafts(root):
            if now - draft.stat().st_mtime > DRAFT_SECONDS:
                draft.unlink(missing_ok=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError.of(root, error) from error
