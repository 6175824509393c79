"""The packages of others behind some quantizers. Imports no torch, so that what cannot be used here is said quickly."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

Requires = Mapping[str, str]
"""Pip line by importable package."""

AIMET: Requires = {"aimet_torch": "pip install 'quantdg[aimet]'"}
BREVITAS: Requires = {"brevitas": "pip install 'quantdg[brevitas]'"}
NNI: Requires = {"nni": "pip install 'quantdg[nni]'"}
QUANTO: Requires = {"optimum.quanto": "pip install 'quantdg[quanto]'"}
TORCHAO: Requires = {"torchao": "pip install 'quantdg[torchao]'"}

_BY_CLASS = {
    "Aimet": AIMET,
    "BrevitasAbsMax": BREVITAS,
    "BrevitasDecoupled": BREVITAS,
    "BrevitasLearned": BREVITAS,
    "NNIBNN": NNI,
    "NNIDoReFa": NNI,
    "NNILSQ": NNI,
    "NNILSQPlus": NNI,
    "NNIQAT": NNI,
    "Quanto": QUANTO,
    "TorchaoAffine": TORCHAO,
    "TorchaoIntx": TORCHAO,
    "TorchaoLearnable": TORCHAO,
    "TorchaoPT2E": TORCHAO,
}


def required_by(name: str) -> Requires:
    """Return what a class of ours requires, by its name, without importing it."""
    return _BY_CLASS.get(name, {})


def missing_of(requires: Requires) -> str:
    """Return the pip lines for what is not installed, or an empty string."""
    return " and ".join(line for package, line in requires.items() if not _installed(package))


def _installed(package: str) -> bool:
    """Say whether a package, dotted where it lies within another, can be found; nothing but its parents is imported."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # a parent of it is missing
        return False
