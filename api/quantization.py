"""Quantize a model of any kind in place, for a training loop that is not QuantDG's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from torch import Tensor, nn

from quantdg.core.errors import QuantizerError
from quantdg.quantizers.base import Quantizer
from quantdg.quantizers.fake_quant import calibrating
from quantdg.quantizers.layers import LAYERS, choose, quantizable_layers
from quantdg.quantizers.spec import Granularity, Placement, Rule

from .batches import Batch, inputs_of
from .choice import make_quantizer
from .quantized import QuantizedModel


def quantize(  # noqa: PLR0913 - what a spec says, as keywords
    model: nn.Module,
    quantizer: str | type[Quantizer] | Quantizer,
    *,
    calibration: Iterable[Batch],
    bits: int | None = None,
    act_bits: int | None = None,
    granularity: Granularity | None = None,
    group_size: int | None = None,
    placement: Placement | None = None,
    skip: str | Sequence[str] = (),
    rules: Sequence[Rule] = (),
    **options: Any,
) -> QuantizedModel:
    """Quantize the convolutions and linear layers of a trained float model, ready to be trained on.

    This happens in place: ``model`` is the quantized model afterwards. Every Parameter stays the same object, so an
    optimizer that has them goes on; it needs ``param_groups`` of the result as further groups.

    Args:
        model: float32, and called with one tensor.
        quantizer: the name of an installed method (``quantdg list`` shows them), a class of
            `quantdg.quantizers`, or an instance; an instance has its own settings, so nothing below but
            ``calibration`` may be given with it.
        calibration: batches of training inputs, from which ranges are set; all of them are run through. They are
            moved to the model's device. A single tensor is one batch.
        bits: of the weights, 2 to 8; None: as the method's file says, 7.
        act_bits: of the layers' inputs, 2 to 8; None: as the method's file says, mostly float.
        granularity: one scale ``per_channel`` (None), ``per_tensor`` of each weight, or ``per_group`` of input channels.
        group_size: input channels that share a scale, for ``per_group``.
        placement: ``inputs`` (None) quantizes inputs of layers, ``full`` also outputs that are added, joined or pooled.
        skip: globs of layer names that stay float, for example ``"head*"``; no layer is skipped unless asked for.
        rules: further bits by layer name, applied after ``skip``.
        options: keyword arguments of the method's class, for example ``lr_ratio`` or ``seed``.

    Raises:
        ConfigError: a name, a setting or a value that does not exist.
        NoMatchError: a rule or a glob of ``skip`` that matches no layer.
        MissingPackageError: the method needs a package that is not installed.
        QuantizerError: the method cannot do this on this model, or no layer is left; the model is unchanged after
            this and every other error. Whether a weight is left in float because the model does not read it, or an
            input because the layer is not called, is in ``plan.skipped`` and ``plan.float_inputs`` of the result.
    """
    patterns = [skip] if isinstance(skip, str) else skip
    asked = {
        "weight_bits": bits,
        "act_bits": act_bits,
        "granularity": granularity,
        "group_size": group_size,
        "placement": placement,
        "rules": (*(Rule(pattern, skip=True) for pattern in patterns), *rules),
    }
    method = make_quantizer(quantizer, asked, options)
    _check(model, method)
    batches = inputs_of(calibration, model)
    first = next(batches, None)
    if first is None:
        raise QuantizerError("calibration needs at least one batch, got none; pass a list of input tensors")
    _try(model, first)
    names = frozenset(model.state_dict())
    method.prepare(model, first)
    method.calibrate(model, chain([first], batches))
    return QuantizedModel(model, method, names)


def _check(model: nn.Module, method: Quantizer) -> None:
    """Refuse what the contract does not promise to get right."""
    found, skipped = quantizable_layers(model)
    if method.role == "baseline":
        return
    if not found:
        kinds = ", ".join(kind.__name__ for kind in LAYERS)
        reasons = "".join(f"; {layer.name}: {layer.reason}" for layer in skipped)
        raise QuantizerError(
            f"no layer can be quantized, the model has none of {kinds} that can be; give one that has{reasons}"
        )
    sites, skipped = choose(model, method.spec)
    if not sites:
        names = ", ".join(f"{layer.name} ({layer.reason})" for layer in skipped)
        raise QuantizerError(f"no layer is quantized, every one is skipped: {names}; skip fewer of them")
    support = method.supports(model, method.spec)
    if not support.ok:
        raise QuantizerError(support.reason)


def _try(model: nn.Module, inputs: Tensor) -> None:
    """Run the float model once, so that nothing is changed where it fails."""
    with calibrating(model):
        model(inputs)
