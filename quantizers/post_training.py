r"""Post-training quantization: a float network is trained to its end and quantized once, from source training inputs.

    training:    w' = w, inputs as they are: not a bit differs from training without a quantizer
    calibrate:   grid from the weights as they are now, codes from a method;   evaluation: w_q = s (code - z)
    next optimizer step: the codes are void, an evaluation sees the float weights until the next calibrate

So a cell's training is that of the float row. Checkpoints are chosen by the float network's source validation, and the
chosen ones are calibrated, which is what quantizes them, and scored again (`Quantizer.post_training`). A method writes
`PostTraining.round_weights`; the grid is that of `mse`, `min_max` or `percentile`, with their options. The scale comes
from the weights and stays while codes are sought.

Reference: Nagel et al., "A White Paper on Neural Network Quantization", arXiv 2106.08295, section 3 (pipeline).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from ..core.errors import ConfigError, QuantizerError
from .base import Family, SiteAudit
from .export import QTensor
from .fake_quant import FakeQuant, evaluating
from .groups import GroupedQuant
from .insertion import Site, act_quants, output_quants, sites_of
from .names import WEIGHT
from .over import OverQuant, OverQuantizer
from .spec import IntegerRange, QuantSpec, SiteSpec, check_choice
from .static_range import StaticQuant

GridBase = Literal["mse", "min_max", "percentile"]


class Rows(NamedTuple):
    """The output channels of a layer as rows over its inputs, in float64, with the grid of every element.

    Attributes:
        weight: shape (groups, rows, columns); groups is 1 but for grouped convolutions.
        scale: of weight's shape.
        zero_point: of weight's shape.
        codes: the lowest and the highest code.
    """

    weight: Tensor
    scale: Tensor
    zero_point: Tensor
    codes: IntegerRange

    def at(self, index: Any) -> Rows:
        """Return a part of the rows by an index of their tensors."""
        return Rows(self.weight[index], self.scale[index], self.zero_point[index], self.codes)

    def nearest(self, weight: Tensor | None = None) -> Tensor:
        """Compute the codes nearest to ``weight`` (of the same shape), by default to the weight itself."""
        x = self.weight if weight is None else weight
        return (torch.round(x / self.scale) + self.zero_point).clamp(*self.codes)

    def value(self, codes: Tensor) -> Tensor:
        """Compute the weight that codes stand for."""
        return (codes - self.zero_point) * self.scale


class Rounded(NamedTuple):
    """Codes of `Rows`, of their shape, and the share of them that the method had not decided on."""

    codes: Tensor
    undecided: float = 0.0


class PostTrainingQuant(OverQuant):
    """This fake quantizer holds the codes of a weight; in training, and while they are void, it passes the weight.

    Args:
        inner: the grid.
        weight: whose nearest codes it starts from.
    """

    codes: Tensor
    quantized: Tensor
    error_ratio: Tensor
    undecided: Tensor

    def __init__(self, inner: StaticQuant | GroupedQuant, weight: Tensor) -> None:
        super().__init__(inner)
        self.register_buffer("codes", torch.zeros_like(weight, dtype=torch.int8))
        self.register_buffer("quantized", torch.tensor(True))
        self.register_buffer("error_ratio", torch.tensor(1.0))
        self.register_buffer("undecided", torch.tensor(0.0))
        self.soft: Tensor | None = None
        self.restart_from(weight)

    @torch.no_grad()
    def restart_from(self, weight: Tensor) -> None:
        """Set the grid from a weight and take the nearest codes."""
        inner: Any = self.inner
        inner.restart()
        inner.observe(weight)
        self.take(self.rows(weight).nearest())

    def rows(self, weight: Tensor, groups: int = 1) -> Rows:
        """Return a weight (channels, ...) as the rows of ``groups`` groups with their grid."""
        q = self.inner.qparams(weight)
        scale, zero = (t.expand_as(weight) for t in q.against(weight))
        shape = groups, len(weight) // groups, -1
        values, scales, zeros = (t.detach().double().reshape(shape) for t in (weight, scale, zero))
        return Rows(values, scales, zeros, codes=IntegerRange(q.qmin, q.qmax))

    def take(self, codes: Tensor, *, error_ratio: float = 1.0, undecided: float = 0.0) -> None:
        """Keep codes in the order of the weight's elements, whatever their shape, with what the audit says of them."""
        self.codes.copy_(codes.reshape(self.codes.shape))
        self.error_ratio.fill_(error_ratio)
        self.undecided.fill_(undecided)
        self.quantized.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weight that the codes stand for, x itself where there are none, or ``soft`` while it is set."""
        if self.soft is not None:
            return self.soft
        if self.training or self.calibrating or not self.quantized:
            return x
        scale, zero = self.qparams(x).against(x)
        return (self.codes.to(x.dtype) - zero) * scale

    def advance(self, weight: Tensor, step: int) -> None:
        """Keep the grid: it is set anew by calibration only."""


class PostTrainingInput(OverQuant):
    """This fake quantizer rounds inputs in evaluation, within ranges of the float network; in training it passes them."""

    quantized: Tensor

    def __init__(self, inner: FakeQuant) -> None:
        super().__init__(inner)
        self.register_buffer("quantized", torch.tensor(True))

    def forward(self, x: Tensor) -> Tensor:
        """Return x, rounded in an evaluation that is no calibration, of a network that is quantized."""
        if self.calibrating:
            self.inner(x)
        rounds = not self.training and not self.calibrating and bool(self.quantized)
        return self.inner(x) if rounds else x


def set_quantized(model: nn.Module, quantized: bool) -> None:
    """Say of all sites and outputs whether they are on their grid."""
    for quant in (*(site.weight_quant for _, site in sites_of(model)), *act_quants(model)):
        quant.quantized.fill_(quantized)


class PostTraining(OverQuantizer):
    """The common part of methods that quantize a finished float network.

    Attributes:
        needs_inputs: whether the method has to see the inputs that each weight is multiplied with.

    Args:
        spec: what to quantize.
        base: whose grid it is, ``mse``, ``min_max`` or ``percentile``.
        options: the settings of `OverQuantizer`, among them ``base_settings`` for the grid.
    """

    family: ClassVar[Family] = "post-training"
    post_training = True
    averages = ("recalibrate",)
    needs_inputs: ClassVar[bool] = True

    def __init__(self, spec: QuantSpec | None = None, *, base: GridBase = "mse", **options: Any) -> None:
        check_choice("base", base, GridBase)
        super().__init__(spec, base=base, **options)
        if self.averaged not in self.averages:
            raise ConfigError(f"averaged must be recalibrate for {self.name}, got {self.averaged!r}; leave it out")
        self.beyond = "passed"

    @abstractmethod
    def round_weights(self, model: nn.Module, batches: Sequence[Tensor]) -> None:
        """Give each weight its codes by `PostTrainingQuant.take`.

        Args:
            model: in evaluation, with float weights and inputs; the grids and the nearest codes are set.
            batches: source-train inputs (N, C, H, W), at least one.
        """

    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Start from the nearest codes."""
        assert isinstance(inner, (StaticQuant, GroupedQuant))
        return PostTrainingQuant(inner, weight)

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Quantize inputs as the base does, in evaluation."""
        return PostTrainingInput(super().act_quantizer(site))

    def refuses(self, site: SiteSpec) -> str:
        """Refuse weights whose inputs no call of their module shows, where they are needed."""
        if self.needs_inputs and site.parameter != WEIGHT:
            return f"{self.name} needs the inputs of each weight, an attention multiplies by {site.parameter} itself"
        return super().refuses(site)

    def calibrate(self, model: nn.Module, batches: Iterable[Tensor]) -> None:
        """Quantize the network as it is now; nothing of an earlier calibration is used.

        Raises:
            QuantizerError: there is no batch.
        """
        batches = list(batches)
        set_quantized(model, False)
        super().calibrate(model, batches)
        with evaluating(model), torch.no_grad():
            for _, site in sites_of(model):
                site.weight_quant.restart_from(site.latent)
            for quant in output_quants(model).values():
                quant.quantized.fill_(True)  # so that the layers behind see what they are going to
            self.round_weights(model, batches)
        set_quantized(model, True)

    def on_step(self, model: nn.Module, step: int) -> None:
        """Declare the codes void: the weights have moved."""
        set_quantized(model, False)

    def after_average(self, model: nn.Module, batches: Iterable[Tensor]) -> str:
        """Quantize the averaged weights."""
        self.calibrate(model, batches)
        return self.averaged

    def _weight(self, site: Site) -> QTensor:
        if not site.weight_quant.quantized:
            raise QuantizerError(
                f"{site.name} must be quantized to have codes, but it has trained since; call calibrate after the last step"
            )
        return super()._weight(site)

    def _audit_site(self, site: Site) -> SiteAudit:
        """Report a site that is float at present as one without levels and noise."""
        quant = site.weight_quant
        if not quant.quantized:
            return SiteAudit(0, 0.0, 0.0, self.moved(site.key, site.latent))
        found = super()._audit_site(site)
        return replace(found, error_ratio=float(quant.error_ratio), undecided=float(quant.undecided))
