"""What this machine offers. Imports no torch."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return how many processors this process may use: those it is pinned to, else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
