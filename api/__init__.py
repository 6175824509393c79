"""QuantDG from Python: quantize any model in a loop of your own, run the benchmark, read its records.

Nothing heavy is imported before it is used: neither torch nor pandas by ``import quantdg``, no torch where records
are read. ``docs/python.md`` shows all of it.
"""

from __future__ import annotations

import os.path
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantdg.core.errors import QuantDGError
    from quantdg.quantizers.spec import QuantSpec, Rule

    from . import errors
    from .command import run
    from .judgement import Judgement
    from .packed import load_packed
    from .quantization import quantize
    from .quantized import QuantizedModel
    from .runs import Runs, load

    __version__: str

__all__ = [
    "Judgement",
    "QuantDGError",
    "QuantSpec",
    "QuantizedModel",
    "Rule",
    "Runs",
    "__version__",
    "errors",
    "load",
    "load_packed",
    "quantize",
    "run",
]

_HOMES = {
    "Judgement": "judgement",
    "QuantDGError": "core.errors",
    "QuantSpec": "quantizers.spec",
    "QuantizedModel": "quantized",
    "Rule": "quantizers.spec",
    "Runs": "runs",
    "load": "runs",
    "load_packed": "packed",
    "quantize": "quantization",
    "run": "command",
}

if not os.path.isdir(os.path.join(__path__[0], "core")):  # an editable install: the parts lie beside this folder
    __path__.append(os.path.dirname(__path__[0]))  # setuptools' finder does not see datasets/, which has no __init__.py


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name == "errors":
        return import_module("quantdg.errors")
    if name == "__version__":
        return import_module("importlib.metadata").version("quantdg")
    if name not in _HOMES:
        raise AttributeError(f"module 'quantdg' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = globals()[name] = getattr(import_module(f"quantdg.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    """What is exported, imported or not."""
    return sorted(__all__)
