"""The quantizer interface: what a method must say and do to be compared.

Read top to bottom: the values a quantizer hands out, then the class. A new method is one
subclass of `Quantizer`; most methods subclass `quantdg.quantizers.sites.SiteQuantizer`
instead and write only their fake quantizer. ``docs/adding_a_quantizer.md`` walks through one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from ..core.errors import ConfigError
from ..core.ranges import Log, Ranges
from .audit import Audit, SiteAudit, noise_to_signal
from .export import OutputExport, SiteExport
from .packages import missing_of
from .spec import QuantSpec, SiteSpec

__all__ = ["Audit", "Beyond", "Family", "PlacedOutput", "Plan", "Quantizer", "Role", "SiteAudit", "Skipped"]
__all__ += ["Support", "noise_to_signal"]

Beyond = Literal["stopped", "passed", "any"]
"""What a straight-through estimator does with the gradient of weights outside its grid."""
Role = Literal["baseline", "control", "method"]
"""What a quantizer is in a comparison: the reference without quantization, a control, or a method under test."""

Family = Literal[
    "float",
    "uniform",
    "learned",
    "estimator",
    "schedule",
    "penalty",
    "non-uniform",
    "post-training",
    "data-free",
    "control",
    "other",
]
"""Where a quantizer stands in the literature, in the order tables list them.

``uniform``: an even grid computed from the weights; ``learned``: scales or clips are trained; ``estimator``: another gradient
than straight-through; ``schedule``: when, or which weights, are rounded; ``penalty``: a term of the loss; ``non-uniform``:
uneven levels; ``post-training``: a finished float network is rounded; ``data-free``: without images of the task.
"""

LEARNING_RATE: Ranges = {"lr_ratio": Log(0.01, 1.0)}
"""What a search sets of a quantizer that learns: a factor of ten to both sides of the default; our reading, no paper has one."""


class Support(NamedTuple):
    """A quantizer answers whether it can handle a model; a refusal becomes a cell of the table with its reason."""

    ok: bool
    reason: str = ""


class Skipped(NamedTuple):
    """A layer is left in float for this reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class PlacedOutput:
    """An output is a value that is quantized where a module returns it, see `quantdg.quantizers.placement`.

    Attributes:
        module: dotted name of the module that returns it.
        grid: name of the first module of those that share one quantizer; ``module`` itself where it is alone or the first.
        bits: 2 to 8.
        readers: the quantized layers that read it; their input has no quantizer of its own.
        carried: whether it is on its grid already, as a maximum or joined values of that grid are, so that nothing is done.
    """

    module: str
    grid: str
    bits: int
    readers: tuple[str, ...] = ()
    _: KW_ONLY
    carried: bool = False


@dataclass(frozen=True)
class Plan:
    """A plan says what `Quantizer.prepare` did.

    Attributes:
        sites: the layers quantized, in module order.
        skipped: the layers left in float, each with its reason.
        parameters: dotted names of the parameters that prepare added.
        frozen: dotted names of the parameters that prepare stopped from training.
        float_inputs: the sites whose input stays float though bits were asked for, each with the reason.
        outputs: the outputs quantized, with ``spec.placement=full``, in the order of a forward.
        float_outputs: values that stay float though ``full`` asks for them, each with the reason.
    """

    sites: tuple[SiteSpec, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    parameters: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    float_inputs: tuple[Skipped, ...] = ()
    outputs: tuple[PlacedOutput, ...] = ()
    float_outputs: tuple[Skipped, ...] = ()


class Quantizer(ABC):
    """A quantizer is one quantization method; the harness owns the loop and calls it in this order.

    supports -> prepare -> calibrate -> param_groups -> (train step, on_loss before its backward -> on_step)* -> audit -> export;
    after_average is called on a model that carries averaged weights. With ``post_training`` calibrate comes after the steps,
    once for each checkpoint that is kept.

    A method that draws random numbers uses a generator of its own, derived from ``seed``: the
    global ones belong to the training it is compared in.

    Attributes:
        name: what the configuration and the tables call the method.
        reference: the paper or the software it comes from.
        role: ``method`` for what is compared, ``control`` for what explains a gain of methods by a part of them,
            ``baseline`` for training without quantization.
        family: where it stands in the literature, one of `Family`; ``other`` where none of them fits.
        meaning: one plain phrase that says what it does to the weights; the verdict names a control by it.
        requires: pip line by importable package, for an optional backend.
        post_training: whether training leaves the network float, bit for bit, and `calibrate` quantizes what was trained:
            from source inputs and the weights as they are, with nothing kept from an earlier call. Between an optimizer
            step and the next calibrate an evaluation computes with the float weights, and nothing can be exported.
        double_backward: whether its operators can be differentiated twice.
        ranges: of the settings that a search sets, by their names; a part of the class, for example ``{"lr_ratio": Log(0.01, 1)}``.
        beyond: the gradient of weights beyond the grid: ``stopped``, ``passed``, or ``any`` where it differs by weight.
        dead_weights: says why weights inside the grid may get no gradient, or is empty: then none of them is left without.

    Args:
        spec: what to quantize.
        lr_ratio: learning rate of the quantizer's parameters over the base rate, > 0.
        seed: for the method's own generator, >= 0.
    """

    name: ClassVar[str]
    reference: ClassVar[str]
    role: ClassVar[Role] = "method"
    family: ClassVar[Family] = "other"
    meaning: ClassVar[str] = ""
    requires: ClassVar[Mapping[str, str]] = {}
    post_training: ClassVar[bool] = False
    double_backward: ClassVar[bool] = True
    ranges: ClassVar[Ranges] = {}
    beyond: Beyond = "stopped"
    dead_weights: str = ""

    def __init__(self, spec: QuantSpec | None = None, *, lr_ratio: float = 0.1, seed: int = 0) -> None:
        if not lr_ratio > 0:
            raise ConfigError(f"lr_ratio must be above 0, got {lr_ratio}; write for example lr_ratio=0.1")
        self.spec = spec or QuantSpec()
        self.lr_ratio = lr_ratio
        self.seed = seed
        self.plan = Plan()

    @classmethod
    def missing(cls) -> str:
        """Return the pip line for what is not installed, or an empty string."""
        return missing_of(cls.requires)

    def supports(self, model: nn.Module, spec: QuantSpec) -> Support:
        """Say whether ``prepare`` would work with this spec on this float model; this changes nothing."""
        return Support(True)

    @abstractmethod
    def prepare(self, model: nn.Module, example: Tensor) -> Plan:
        """Insert the quantizers in place, and set and return ``self.plan``.

        Every Parameter object and every float state-dict key stays; layer classes may change.
        All state exists afterwards, so a later checkpoint loads strictly into a fresh prepare.

        Args:
            model: the float model, changed in place.
            example: one input batch (N, C, H, W) from a source domain.

        Raises:
            NoMatchError: a rule of the spec matches no layer.
            QuantizerError: `supports` refuses, or the model is quantized already.
        """

    def calibrate(self, model: nn.Module, batches: Iterable[Tensor]) -> None:
        """Set ranges from source-train inputs (N, C, H, W); this creates no parameter or buffer."""

    def param_groups(self, model: nn.Module, base_lr: float) -> list[dict[str, Any]]:
        """Return optimizer groups for the parameters that prepare added, and only for them."""
        params = [model.get_parameter(name) for name in self.plan.parameters]
        if not params:
            return []
        return [{"params": params, "lr": base_lr * self.lr_ratio, "weight_decay": 0.0}]

    def on_step(self, model: nn.Module, step: int) -> None:
        """Move schedules and project parameters after an optimizer step; ``step`` counts these from 1 at prepare."""

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return a scalar to add to the training loss, or None."""
        return None

    def on_loss(self, model: nn.Module, loss: Tensor) -> None:
        """Look at a step's loss (scalar, penalty included) before its backward, for methods that need its curvature."""

    def after_average(self, model: nn.Module, batches: Iterable[Tensor]) -> str:
        """Repair a model whose *parameters* were just averaged, and return the policy's name for the record.

        The default keeps all: learned scales were averaged with the weights.
        """
        return "average"

    @abstractmethod
    def audit(self, model: nn.Module) -> Audit:
        """Return evidence that the method did its work on this model."""

    @abstractmethod
    def export(self, model: nn.Module) -> dict[str, SiteExport]:
        """Return the integers by site; ``weight.dequantize()`` equals the fake-quantized weight bit for bit."""

    def outputs(self, model: nn.Module) -> dict[str, OutputExport]:
        """Return the grids of the quantized outputs by module, those of ``plan.outputs``; the default has none."""
        return {}
