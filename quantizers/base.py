"""The quantizer interface: what a method must say and do to be compared.

Read top to bottom: the values a quantizer hands out, then the class. A new method is one
subclass of `Quantizer`; most methods subclass `quantdg.quantizers.sites.SiteQuantizer`
instead and write only their fake quantizer. ``docs/adding_a_quantizer.md`` walks through one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError
from .spec import QuantSpec, SiteSpec

Role = Literal["baseline", "control", "method"]
"""What a quantizer is in a comparison: the reference without quantization, a control, or a method under test."""


class Support(NamedTuple):
    """Whether a quantizer can handle a model; a refusal becomes a cell of the table with its reason."""

    ok: bool
    reason: str = ""


class Skipped(NamedTuple):
    """A layer left in float, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What `Quantizer.prepare` did.

    Attributes:
        sites: the layers quantized, in module order.
        skipped: the layers left in float, each with its reason.
        parameters: dotted names of the parameters that prepare added.
        frozen: dotted names of the parameters that prepare stopped from training.
    """

    sites: tuple[SiteSpec, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    parameters: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True)
class QTensor:
    """A weight as integers.

    Attributes:
        codes: integer tensor of the weight's shape. Uniform grids: signed or unsigned codes;
            with ``levels``: indices into the code book.
        scale: float32, shape ``(channels,)`` with an ``axis``, else ``()``; positive.
        zero_point: of the scale's shape; whole, or halfway between two codes on a grid without a zero.
        bits: storage width, 2 to 8; at most ``2**bits`` distinct codes.
        axis: the channel dimension, or None for one scale.
        levels: code book of a non-uniform grid, float32, at most ``2**bits`` entries.
    """

    codes: Tensor
    scale: Tensor
    zero_point: Tensor
    bits: int
    axis: int | None = None
    levels: Tensor | None = None

    def dequantize(self) -> Tensor:
        """The float32 weight: ``(codes - zero_point) * scale`` or ``levels[codes] * scale``."""
        shape = [1] * self.codes.dim()
        if self.axis is not None:
            shape[self.axis] = -1
        if self.levels is not None:
            return self.levels[self.codes.long()] * self.scale.reshape(shape)
        shifted = self.codes.to(torch.float32) - self.zero_point.to(torch.float32).reshape(shape)
        return shifted * self.scale.reshape(shape)


@dataclass(frozen=True)
class ActQuant:
    """A layer's input quantizer: ``(clamp(round(x / scale) + zero_point, qmin, qmax) - zero_point) * scale``."""

    scale: float
    zero_point: int
    qmin: int
    qmax: int
    bits: int


@dataclass(frozen=True)
class SiteExport:
    """One quantized layer, ready to be stored or deployed."""

    weight: QTensor
    act: ActQuant | None = None


@dataclass(frozen=True)
class SiteAudit:
    """Evidence from one layer that its quantizer worked.

    Attributes:
        levels_used: distinct weight codes in use, 1 to 2**bits; 0 for a layer that is frozen or perturbed, not quantized.
        noise_to_signal: std(w_q - w) / std(w) of the latent weight w, >= 0.
        saturation: share of the weights on the outermost code, 0 to 1.
        weight_moved: ||w - w_0|| / ||w_0|| since prepare.
        steps_moved: largest |s - s_0| / |s_0| over the layer's learned quantizer parameters, or None;
            |s| for those that start at 0, as zero points do.
        step_gradient: largest |gradient| on them after the last step, or None.
    """

    levels_used: int
    noise_to_signal: float
    saturation: float
    weight_moved: float
    steps_moved: float | None = None
    step_gradient: float | None = None


@dataclass(frozen=True)
class Audit:
    """Evidence for every site, by name."""

    algorithm: str
    sites: Mapping[str, SiteAudit]


class Quantizer(ABC):
    """One quantization method; the harness owns the loop and calls it in this order.

    supports -> prepare -> calibrate -> param_groups -> (train step -> on_step)* -> audit -> export;
    after_average is called on a model that carries averaged weights.

    A method that draws random numbers uses a generator of its own, derived from ``seed``: the
    global ones belong to the training it is compared in.

    Attributes:
        name: what the configuration and the tables call the method.
        reference: the paper or the software it comes from.
        role: ``method`` for what is compared, ``control`` for what explains a gain of methods by a part of them,
            ``baseline`` for training without quantization.
        meaning: one plain phrase that says what it does to the weights; the verdict names a control by it.
        requires: pip line by importable package, for an optional backend.
        double_backward: whether its operators can be differentiated twice.

    Args:
        spec: what to quantize.
        lr_ratio: learning rate of the quantizer's parameters over the base rate, > 0.
        seed: for the method's own generator, >= 0.
    """

    name: ClassVar[str]
    reference: ClassVar[str]
    role: ClassVar[Role] = "method"
    meaning: ClassVar[str] = ""
    requires: ClassVar[Mapping[str, str]] = {}
    double_backward: ClassVar[bool] = True

    def __init__(self, spec: QuantSpec | None = None, *, lr_ratio: float = 0.1, seed: int = 0) -> None:
        if not lr_ratio > 0:
            raise ConfigError(f"lr_ratio must be above 0, got {lr_ratio}; write for example lr_ratio=0.1")
        self.spec = spec or QuantSpec()
        self.lr_ratio = lr_ratio
        self.seed = seed
        self.plan = Plan()

    @classmethod
    def missing(cls) -> str:
        """The pip line for what is not installed, or an empty string."""
        return " and ".join(line for package, line in cls.requires.items() if find_spec(package) is None)

    def supports(self, model: nn.Module, spec: QuantSpec) -> Support:
        """Whether ``prepare`` would work with this spec on this float model; changes nothing."""
        return Support(True)

    @abstractmethod
    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Insert the quantizers in place.

        Every Parameter object and every float state-dict key stays; layer classes may change.
        All state exists afterwards, so a later checkpoint loads strictly into a fresh prepare.
        ``example`` is one input batch (N, C, H, W) from a source domain. Sets and returns ``self.plan``.
        """

    def calibrate(self, model: nn.Module, batches: Iterable[Tensor]) -> None:
        """Set ranges from source-train inputs; creates no parameter or buffer."""

    def param_groups(self, model: nn.Module, base_lr: float) -> list[dict[str, Any]]:
        """Optimizer groups for the parameters that prepare added, and only for them."""
        params = [model.get_parameter(name) for name in self.plan.parameters]
        if not params:
            return []
        return [{"params": params, "lr": base_lr * self.lr_ratio, "weight_decay": 0.0}]

    def on_step(self, model: nn.Module, step: int) -> None:
        """Called after each optimizer step; ``step`` counts from 1 at prepare. For schedules and projections."""

    def penalty(self, model: nn.Module) -> Tensor | None:
        """A scalar added to the training loss, or None."""
        return None

    def after_average(self, model: nn.Module, batches: Iterable[Tensor]) -> str:
        """Repair a model whose *parameters* were just averaged; returns the policy's name for the record.

        The default keeps all: learned step sizes were averaged with the weights.
        """
        return "average"

    @abstractmethod
    def audit(self, model: nn.Module) -> Audit:
        """Evidence that the method did its work on this model."""

    @abstractmethod
    def export(self, model: nn.Module) -> dict[str, SiteExport]:
        """The integers, by site; ``weight.dequantize()`` equals the fake-quantized weight bit for bit."""
