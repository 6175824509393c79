"""Housekeeping before a run: replaced records go, drafts of dead writers go."""

from __future__ import annotations

from pathlib import Path

from quantdg.bench.store import RunStore, StorageError, write_atomic
from quantdg.bench.sweep.choose import Rules
from quantdg.bench.sweep.plan import Plan

DRAFT_SECONDS = 3600.0
"""No write takes longer; ages are differences on the file system's own clock."""


def make_room(store: RunStore, plan: Plan, rules: Rules) -> None:
    """Delete what the plan replaces, so that first results win from here on; StorageError where that is impossible."""
    for key in plan.stale:
        store.delete(key)
    if rules.overwrite == "always":
        for group in {cell.group.key for cell in plan.run}:
            store.delete_float(group)
    if plan.run:
        _remove_drafts(store.root)


def _remove_drafts(root: Path) -> None:
    """Temporary files of writers that were killed."""
    probe = root / "work" / ".now"
    write_atomic(probe, "")
    try:
        now = probe.stat().st_mtime
        probe.unlink()
        for draft in root.glob("*/.*.tmp"):
            if now - draft.stat().st_mtime > DRAFT_SECONDS:
                draft.unlink(missing_ok=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError.of(root, error) from error
