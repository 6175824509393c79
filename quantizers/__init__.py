"""The things compared: one interface, one file for each quantization method.

Each name is imported when it is asked for: ``from quantdg.quantizers import LSQ``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adaround import AdaRound
    from .aimet import Aimet
    from .aoq import AOQ
    from .apot import APoT
    from .base import Audit, Plan, Quantizer, Role, SiteAudit, Skipped, Support
    from .brecq import BRECQ
    from .brevitas_adapter import BrevitasAbsMax, BrevitasDecoupled, BrevitasLearned
    from .cga import CGA
    from .dorefa import DoReFa
    from .duq import DuQ
    from .ewgs import EWGS
    from .export import ActQuant, QTensor, SiteExport
    from .float_ import Float
    from .freeze import Freeze
    from .gptq import GPTQ
    from .gradual_bits import GradualBits
    from .grid_pull import GridPull
    from .inq import INQ
    from .iterative_freezing import IterativeFreezing
    from .k_means import KMeans
    from .kure import KURE
    from .lsq import LSQ
    from .min_max import MinMax
    from .mse import MSE
    from .nni_bnn import NNIBNN
    from .nni_dorefa import NNIDoReFa
    from .nni_lsq import NNILSQ
    from .nni_lsq_plus import NNILSQPlus
    from .nni_qat import NNIQAT
    from .normal_float import NormalFloat
    from .obc import OBC
    from .pact import PACT
    from .percentile import Percentile
    from .power_of_two import PowerOfTwo
    from .profit import PROFIT
    from .quant_noise import QuantNoise
    from .quanto import Quanto
    from .round_freeze import RoundFreeze
    from .round_to_nearest import RoundToNearest
    from .spec import QuantSpec, Rule, SiteSpec
    from .statsq import StatsQ
    from .stochastic_rounding import StochasticRounding
    from .straight_through import StraightThrough
    from .toggle import Toggle
    from .torch_ao import TorchAO
    from .torch_ao_fx import TorchAOFX, TorchaoPT2E
    from .torch_ao_learnable import TorchAOLearnable
    from .torchao_affine import TorchaoAffine
    from .torchao_intx import TorchaoIntx
    from .torchao_learnable import TorchaoLearnable
    from .uniform_noise import UniformNoise
    from .zaq import ZAQ
    from .zsaq import ZSAQ

__all__ = [
    "AOQ",
    "BRECQ",
    "CGA",
    "EWGS",
    "GPTQ",
    "INQ",
    "KURE",
    "LSQ",
    "MSE",
    "NNIBNN",
    "NNILSQ",
    "NNIQAT",
    "OBC",
    "PACT",
    "PROFIT",
    "ZAQ",
    "ZSAQ",
    "APoT",
    "ActQuant",
    "AdaRound",
    "Aimet",
    "Audit",
    "BrevitasAbsMax",
    "BrevitasDecoupled",
    "BrevitasLearned",
    "DoReFa",
    "DuQ",
    "Float",
    "Freeze",
    "GradualBits",
    "GridPull",
    "IterativeFreezing",
    "KMeans",
    "MinMax",
    "NNIDoReFa",
    "NNILSQPlus",
    "NormalFloat",
    "Percentile",
    "Plan",
    "PowerOfTwo",
    "QTensor",
    "QuantNoise",
    "QuantSpec",
    "Quantizer",
    "Quanto",
    "Role",
    "RoundFreeze",
    "RoundToNearest",
    "Rule",
    "SiteAudit",
    "SiteExport",
    "SiteSpec",
    "Skipped",
    "StatsQ",
    "StochasticRounding",
    "StraightThrough",
    "Support",
    "Toggle",
    "TorchAO",
    "TorchAOFX",
    "TorchAOLearnable",
    "TorchaoAffine",
    "TorchaoIntx",
    "TorchaoLearnable",
    "TorchaoPT2E",
    "UniformNoise",
]

_HOMES = {
    "Audit": "base",
    "Plan": "base",
    "Quantizer": "base",
    "Role": "base",
    "SiteAudit": "base",
    "Skipped": "base",
    "Support": "base",
    "ActQuant": "export",
    "QTensor": "export",
    "SiteExport": "export",
    "QuantSpec": "spec",
    "Rule": "spec",
    "SiteSpec": "spec",
    "Aimet": "aimet",
    "AOQ": "aoq",
    "APoT": "apot",
    "AdaRound": "adaround",
    "BrevitasAbsMax": "brevitas_adapter",
    "BrevitasDecoupled": "brevitas_adapter",
    "BrevitasLearned": "brevitas_adapter",
    "BRECQ": "brecq",
    "CGA": "cga",
    "DoReFa": "dorefa",
    "DuQ": "duq",
    "EWGS": "ewgs",
    "Float": "float_",
    "Freeze": "freeze",
    "GPTQ": "gptq",
    "GradualBits": "gradual_bits",
    "GridPull": "grid_pull",
    "INQ": "inq",
    "IterativeFreezing": "iterative_freezing",
    "KMeans": "k_means",
    "KURE": "kure",
    "LSQ": "lsq",
    "MinMax": "min_max",
    "MSE": "mse",
    "NNIBNN": "nni_bnn",
    "NNIDoReFa": "nni_dorefa",
    "NNILSQ": "nni_lsq",
    "NNILSQPlus": "nni_lsq_plus",
    "NNIQAT": "nni_qat",
    "NormalFloat": "normal_float",
    "OBC": "obc",
    "PACT": "pact",
    "Percentile": "percentile",
    "PowerOfTwo": "power_of_two",
    "PROFIT": "profit",
    "QuantNoise": "quant_noise",
    "Quanto": "quanto",
    "RoundFreeze": "round_freeze",
    "RoundToNearest": "round_to_nearest",
    "StatsQ": "statsq",
    "StochasticRounding": "stochastic_rounding",
    "StraightThrough": "straight_through",
    "Toggle": "toggle",
    "TorchAO": "torch_ao",
    "TorchaoAffine": "torchao_affine",
    "TorchAOFX": "torch_ao_fx",
    "TorchaoIntx": "torchao_intx",
    "TorchAOLearnable": "torch_ao_learnable",
    "TorchaoLearnable": "torchao_learnable",
    "TorchaoPT2E": "torch_ao_fx",
    "UniformNoise": "uniform_noise",
    "ZAQ": "zaq",
    "ZSAQ": "zsaq",
}


def __getattr__(name: str) -> Any:
    """Import the method that is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    """What is exported, imported or not."""
    return sorted(__all__)
