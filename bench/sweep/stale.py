"""What a run replaces is deleted before it starts."""

from __future__ import annotations

from ..cells.cleanup import remove_leftovers, remove_old_drafts
from ..results.store import RunStore
from .plan import Plan
from .rerun import RerunPolicy


def delete_stale(store: RunStore, plan: Plan, policy: RerunPolicy) -> None:
    """Delete what the plan replaces, so that first results win from here on; StorageError where that is impossible."""
    for key in plan.stale:
        store.delete(key)
    if policy.overwrite == "always":
        for group in {cell.group.key for cell in plan.run}:
            store.delete_float(group)
    if plan.run:
        remove_leftovers(store)
        remove_old_drafts(store.root)
