"""What the machine offers to processes and how it ends them. Imports no torch."""

from __future__ import annotations

import os
import signal


def usable_cores() -> int:
    """Return how many processors this process may use: those it is pinned to, else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def exit_cause(code: int) -> str:
    """Return the exit code of a process, negative for a signal, in words."""
    if code >= 0:
        return f"exit code {code}"
    return f"signal {-code}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
