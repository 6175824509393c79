"""Memory that a training frees stays with its process."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of malloc.h
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let glibc reuse large blocks; nothing happens where the C library has no ``mallopt``.

    By default the activations of a step go back to the system when it ends, and the next step's pages are cleared and
    mapped anew, one fault for each 4 KB: a tenth of a step on photographs. No number depends on it.
    """
    with suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no handle of the program itself
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _NEVER)
        mallopt(_MMAP_MAX, 0)
