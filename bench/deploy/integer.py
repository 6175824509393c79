"""A float network plus integer codes -> a module whose convolutions and linear layers compute from int8 buffers.

The modules call the quantized_decomposed operators, which the ONNX exporter turns into QuantizeLinear and
DequantizeLinear; run in torch they compute the same numbers in float32. BatchNorm is folded into the scales in
float64, so the codes stay the ones that were trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.ao.quantization.fx._decomposed
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.errors import QuantizerError
from ...quantizers.export import ActQuant, OutputExport, SiteExport
from ...quantizers.names import WEIGHT
from ..packed.twin import load_float, own_inputs
from .batchnorm import affine, following
from .codes import HIGH, LOW, Codes, fold, grid_reason, integer_reason, to_codes

_CONVOLUTIONS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv1d: F.conv1d,
    nn.Conv2d: F.conv2d,
    nn.Conv3d: F.conv3d,
}
_OPS: Any = torch.ops.quantized_decomposed


def quantize_input(x: Tensor, act: ActQuant, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Quantize to ``dtype`` (uint8 or int8) and back.

    Signed codes are stored in uint8 with 128 added, unsigned ones in int8 with 128 taken off, which changes no value.
    The exported operator saturates at the ends of the type only, so a narrower range is clamped before it.
    """
    low, high = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    shift = low - (-128 if act.qmin < 0 else 0)
    if (act.qmin + shift, act.qmax + shift) != (low, high):
        x = torch.clamp(x, (act.qmin - act.zero_point) * act.scale, (act.qmax - act.zero_point) * act.scale)
    grid = (act.scale, int(act.zero_point) + shift, low, high, dtype)
    out: Tensor = _OPS.dequantize_per_tensor(_OPS.quantize_per_tensor(x, *grid), *grid)
    return out


class QuantizedOutput:
    """This mixin rounds what a module returns, as `quantize_input` does."""

    output_act: ActQuant
    input_dtype: torch.dtype

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Compute the module's output and round it."""
        return quantize_input(super().forward(*args, **kwargs), self.output_act, self.input_dtype)  # type: ignore[misc]


def hold_output(module: nn.Module, act: ActQuant, dtype: torch.dtype = torch.uint8) -> None:
    """Let a module round what it returns, by its class; QuantizerError where `grid_reason` has a reason."""
    reason = grid_reason(act)
    if reason:
        raise QuantizerError(f"an output cannot be rounded to integers: {reason}")
    kind = type(module)
    module.__class__ = type(kind.__name__, (QuantizedOutput, kind), {"output_act": act, "input_dtype": dtype})


class IntegerWeight(nn.Module):
    """This holds a weight as int8 codes; called, it gives the dequantized weight.

    With scales per group of input channels the codes are kept with each group as a channel of its own, and put into the
    weight's shape after they are dequantized: every runtime reads scales along dimension 0.
    """

    codes: Tensor
    scale: Tensor
    zero: Tensor

    def __init__(self, codes: Codes) -> None:
        super().__init__()
        self.shape = tuple(codes.values.shape)
        self.register_buffer("codes", codes.rows.to(torch.int8))
        self.register_buffer("zero", codes.zero.flatten().to(torch.int8).contiguous())
        self.register_buffer("scale", codes.scale.flatten().float().contiguous())

    def forward(self) -> Tensor:
        """Return the dequantized weight."""
        out: Tensor = _OPS.dequantize_per_channel(self.codes, self.scale, self.zero, 0, LOW, HIGH, torch.int8)
        return out.reshape(self.shape) if self.grouped else out

    @property
    def grouped(self) -> bool:
        """Say whether scales belong to groups of input channels, which no runtime multiplies in integers."""
        return self.codes.shape != self.shape


class IntegerLayer(IntegerWeight):
    """This convolution or linear layer holds int8 codes; who reads its ``weight`` gets it dequantized.

    Args:
        layer: the float layer, whose geometry is taken over.
        codes: its weight and bias.
        act: the grid of its input, or None for a float input.
    """

    bias: Tensor | None
    input_dtype = torch.uint8

    def __init__(self, layer: nn.Module, codes: Codes, act: ActQuant | None) -> None:
        super().__init__(codes)
        self.act = act
        self.apply_weight, self.options = _operator(layer)
        self.register_buffer("bias", None if codes.bias is None else codes.bias.float())

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Compute the layer's output in float32."""
        if self.act is not None:
            x = quantize_input(x, self.act, self.input_dtype)
        return self.apply_weight(x, self.weight, self.bias, **self.options)

    @property
    def weight(self) -> Tensor:
        """The dequantized weight."""
        return super().forward()


def hold_integers(module: nn.Module, parameter: str, codes: Codes) -> None:
    """Let a module that multiplies by a Parameter itself read it from int8 codes, by a property of its class."""
    child = f"{parameter}_integers"
    del module._parameters[parameter]
    module.add_module(child, IntegerWeight(codes))
    kind = type(module)
    module.__class__ = type(kind.__name__, (kind,), {parameter: property(lambda self: self._modules[child]())})


def replace_module(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put a module in the place of another, under every name that it has."""
    for parent in network.modules():
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new


def _operator(layer: nn.Module) -> tuple[Callable[..., Tensor], dict[str, Any]]:
    for kind, function in _CONVOLUTIONS.items():
        if isinstance(layer, kind) and type(layer).forward is kind.forward and layer.padding_mode == "zeros":
            return function, {n: getattr(layer, n) for n in ("stride", "padding", "dilation", "groups")}
    if isinstance(layer, nn.Linear) and type(layer).forward is nn.Linear.forward:
        return F.linear, {}
    raise QuantizerError(f"an integer layer is a plain convolution or nn.Linear, got {layer}; skip it by a rule")


@dataclass(frozen=True)
class IntegerModel:
    """This is the result of `build_integer`.

    Attributes:
        module: in eval mode, float32 images to float32 logits.
        folded: layers whose BatchNorm went into their scales.
        unfolded: layer -> channels whose code -128 kept the BatchNorm a float operator.
    """

    module: nn.Module
    folded: int = 0
    unfolded: dict[str, int] = field(default_factory=dict)


def not_exportable(sites: Mapping[str, SiteExport], outputs: Mapping[str, OutputExport] | None = None) -> str:
    """Say why there is no integer form of these layers and outputs, or return an empty string."""
    reasons = {name: integer_reason(site) for name, site in sites.items()}
    reasons |= {f"the output of {name}": grid_reason(output.act) for name, output in (outputs or {}).items()}
    return next((f"{name}: {reason}" for name, reason in reasons.items() if reason), "")


def build_integer(
    network: nn.Module,
    state: Mapping[str, Tensor],
    sites: Mapping[str, SiteExport],
    outputs: Mapping[str, OutputExport] | None = None,
) -> IntegerModel:
    """Replace every quantized layer by its integer form, and round the outputs that are quantized.

    Args:
        network: of the architecture; not changed.
        state: float weights by state-dict name, as from `PackedModel.state`.
        sites: the layers' integers, as stored.
        outputs: the quantized outputs, as stored.

    Raises:
        QuantizerError: a layer or an output has no integer form (see `not_exportable`); RecordError: weights of another network.
    """
    out = load_float(network, state)
    pairs, inputs = following(out, sites), own_inputs(sites, outputs or {})
    unfolded: dict[str, int] = {}
    folded = 0
    for name, site in sites.items():
        layer: Any = out.get_submodule(site.module(name))
        if site.parameter != WEIGHT:
            hold_integers(layer, site.parameter, to_codes(name, site.weight, None))
            continue
        codes = to_codes(name, site.weight, layer.bias)
        if name in pairs:
            codes, overflow = fold(codes, *affine(out.get_submodule(pairs[name])))
            if overflow:
                unfolded[name] = overflow
            else:
                out.set_submodule(pairs[name], nn.Identity())
                folded += 1
        replace_module(out, layer, IntegerLayer(layer, codes, inputs.get(site.module(name))))
    for name, output in (outputs or {}).items():
        hold_output(out.get_submodule(name), output.act)
    return IntegerModel(out.eval(), folded, unfolded)
