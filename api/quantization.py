"""Quantize a model of any kind in place, for a training loop that is not QuantDG's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from quantdg.core.errors import QuantizerError
from quantdg.quantizers.base import Quantizer
from quantdg.quantizers.fake_quant import calibrating
from quantdg.quantizers.layers import LAYERS, quantizable_layers
from quantdg.quantizers.spec import Granularity, Rule

from .batches import Batch, inputs_of
from .choice import make_quantizer
from .quantized import QuantizedModel


def quantize(
    model: nn.Module,
    quantizer: str | type[Quantizer] | Quantizer,
    *,
    calibration: Iterable[Batch],
    bits: int | None = None,
    act_bits: int | None = None,
    granularity: Granularity | None = None,
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
        granularity: one scale ``per_channel`` (None) or ``per_tensor`` of each weight.
        skip: globs of layer names that stay float, for example ``"head*"``; no layer is skipped unless asked for.
        rules: further bits by layer name, applied after ``skip``.
        options: keyword arguments of the method's class, for example ``lr_ratio`` or ``seed``.

    Raises:
        ConfigError: a name, a setting or a value that does not exist.
        NoMatchError: a rule or a glob of ``skip`` that matches no layer.
        MissingPackageError: the method needs a package that is not installed.
        QuantizerError: the method cannot do this on this model, a layer is not called by it, or none is left;
            the model is unchanged after this and every other error.
    """
    patterns = [skip] if isinstance(skip, str) else skip
    asked = {
        "weight_bits": bits,
        "act_bits": act_bits,
        "granularity": granularity,
        "rules": (*(Rule(pattern, skip=True) for pattern in patterns), *rules),
    }
    method = make_quantizer(quantizer, asked, options)
    chosen = _chosen(model, method)
    batches = inputs_of(calibration, model)
    first = next(batches, None)
    if first is None:
        raise QuantizerError("calibration needs at least one batch, got none; pass a list of input tensors")
    _try(model, first, chosen)
    names = frozenset(model.state_dict())
    method.prepare(model, first)
    method.calibrate(model, chain([first], batches))
    return QuantizedModel(model, method, names)


def _chosen(model: nn.Module, method: Quantizer) -> list[str]:
    """The layers that will be quantized; refuses what the contract does not promise to get right."""
    names = quantizable_layers(model)[0]
    if method.role == "baseline":
        return []
    if not names:
        kinds = ", ".join(kind.__name__ for kind in LAYERS)
        raise QuantizerError(f"no layer can be quantized, the model has none of {kinds}; give a model that has one")
    method.spec.check_rules(names)
    chosen = [name for name in names if method.spec.site(name) is not None]
    if not chosen:
        raise QuantizerError(f"no layer is quantized, every one is skipped: {', '.join(names)}; skip fewer of them")
    for name in chosen:
        weight = model.get_submodule(name)._parameters.get("weight")
        if weight is None:
            raise QuantizerError(f"the weight of {name!r} must be a Parameter, but is computed; write skip={name!r}")
        if weight.dtype != torch.float32:
            raise QuantizerError(f"weights must be float32, {name!r} has {weight.dtype}; write model.float()")
    support = method.supports(model, method.spec)
    if not support.ok:
        raise QuantizerError(support.reason)
    return chosen


def _try(model: nn.Module, inputs: Tensor, chosen: list[str]) -> None:
    """Run the float model once, so that nothing is changed where it fails, and see that it calls each layer."""
    called: set[nn.Module] = set()
    handle = register_module_forward_pre_hook(lambda module, args: called.add(module) if len(args) == 1 else None)
    try:
        with calibrating(model):
            model(inputs)
    finally:
        handle.remove()
    for name in chosen:
        if model.get_submodule(name) not in called:
            raise QuantizerError(
                f"a layer must be called, with one tensor, to be quantized, in evaluation {name!r} is not; "
                f"write skip={name!r}, or below nn.TransformerEncoder torch.backends.mha.set_fastpath_enabled(False)"
            )
