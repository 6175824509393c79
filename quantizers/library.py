"""What adapters of other quantization libraries share: import on demand, and the words for a library that is absent.

An adapter puts the library's own fake quantizer for one tensor into a `FakeQuant`. Ranges, rounding and gradients are
the library's, bit for bit; only insertion, state and the loop are ours.
"""

from __future__ import annotations

import logging
import sys
import warnings
from importlib import import_module
from typing import Any

from ..core.errors import MissingPackageError
from .sites import SiteQuantizer


def imported(module: str, pip: str) -> Any:
    """Return a library's module; one that is loaded costs a look into a dictionary, as an adapter may ask in every forward.

    Args:
        module: dotted name.
        pip: the line that installs it, for the message.

    Raises:
        MissingPackageError: it is not installed, or something it needs is not.
    """
    if (loaded := sys.modules.get(module)) is not None:
        return loaded
    logged = logging.root.manager.disable
    logging.disable(logging.WARNING)  # what libraries say of compilers and GPUs that they miss
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return import_module(module)
    except ImportError as error:
        raise MissingPackageError(f"{module} cannot be imported ({error}); {pip}") from error
    finally:
        logging.disable(logged)


class LibraryQuantizer(SiteQuantizer):
    """The adapters share this base: the library sets the weights' scale."""

    fixed_scale_reason = "the library sets it, and its arithmetic is kept bit for bit"
