"""Quantizing weights in place: a class swap that keeps Parameters, state-dict keys and attributes.

``conv.__class__`` becomes a subclass of its own class in which ``weight`` is a property: whoever reads it, the layer's
own forward or a stranger with ``F.linear(x, layer.weight)``, gets the fake-quantized tensor, while the latent Parameter
stays where torch keeps it. The fake quantizers become child modules, ``weight_quant`` and ``act_quant``. Of the
insertion styles in use (module replacement, parametrization, graph rewriting) this one alone keeps Parameter identity,
float keys and an overridden ``train()`` at once.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from torch import Tensor, nn

from ..core.errors import QuantizerError
from .fake_quant import FakeQuant, in_float32


class Quantized:
    """This mixin makes a module's quantized Parameters readable as quantized, and quantizes input and output of a call.

    Attributes:
        float_class: the module's class before.
        quantized: names of its quantized Parameters; empty where its output alone is quantized.
        act_quant: the fake quantizer of the first argument of a call, or None.
        output_quant: the fake quantizer of what a call returns; only modules with a quantized output have it.
        output_copied: whether a reader may change the output in place, which must not be the tensor that the quantizer keeps.
    """

    float_class: type[nn.Module]
    quantized: tuple[str, ...]
    act_quant: FakeQuant | None
    output_quant: FakeQuant
    output_copied: bool

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module's own forward on a quantized input; each weight is quantized once for it."""
        if self.act_quant is not None:
            if args:
                args = (in_float32(self.act_quant, args[0]), *args[1:])
            else:
                first = next(iter(kwargs))
                kwargs = {**kwargs, first: in_float32(self.act_quant, kwargs[first])}
        kept = "_values" in self.__dict__  # for longer than this call: see `quantized_once`
        self.__dict__.setdefault("_values", {})
        try:
            out = super().forward(*args, **kwargs)  # type: ignore[misc]
        finally:
            if not kept:
                del self.__dict__["_values"]
        return self.finished(out)

    def finished(self, out: Any) -> Any:
        """Quantize what the module's own forward returned, where it has a fake quantizer for that."""
        if not self.quantizes_output:
            return out
        rounded = in_float32(self.output_quant, out)
        return rounded.clone() if self.output_copied else rounded

    @property
    def quantizes_output(self) -> bool:
        """Say whether the module has a fake quantizer of its output."""
        return "output_quant" in self.__dict__

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle by the float class, since a class made here has no module to be found in."""
        reduced = cast("tuple[Any, ...]", super().__reduce_ex__(protocol))
        made_here = _SWAPPED.get((self.float_class, self.quantized)) is cast(Any, type(self))
        if not made_here or reduced[0] is not copyreg.__newobj__:  # type: ignore[attr-defined]
            return reduced
        return _blank, (self.float_class, self.quantized), *reduced[2:]


@contextmanager
def quantized_once(model: nn.Module) -> Iterator[None]:
    """Quantize each weight once for all forwards in this context, where no weight changes: an evaluation.

    The model is in eval mode, in which no fake quantizer draws or observes, and no gradients are wanted.
    """
    modules = [m for m in model.modules() if isinstance(m, Quantized)]
    for module in modules:
        module.__dict__["_values"] = {}
    try:
        yield
    finally:
        for module in modules:
            del module.__dict__["_values"]


def _quantized_parameter(name: str) -> property:
    """Make the property that stands for a Parameter; assigning to it replaces the latent tensor."""

    def read(self: Any) -> Tensor | None:
        latent, values = self._parameters.get(name), self.__dict__.get("_values")
        if latent is None:
            return None
        if values is not None and name in values:
            return cast(Tensor, values[name])
        try:
            value: Tensor = in_float32(self._modules[f"{name}_quant"], latent)
        except AttributeError as error:  # else nn.Module.__getattr__ would return the float Parameter instead
            raise QuantizerError(f"the fake quantizer of {name!r} fails: {error}") from error
        if values is not None:
            values[name] = value
        return value

    def write(self: Any, value: Tensor | None) -> None:
        self._parameters[name] = value

    return property(read, write, doc="The fake-quantized tensor; the latent Parameter is in ``_parameters``.")


_SWAPPED: dict[tuple[type[nn.Module], tuple[str, ...]], type[nn.Module]] = {}


def quantized_class(layer: type[nn.Module], parameters: tuple[str, ...]) -> type[nn.Module]:
    """Return the class that a module of class ``layer`` gets when these Parameters become sites; it is made once."""
    key = layer, parameters
    if key not in _SWAPPED:
        members = {"float_class": layer, "quantized": parameters, "__module__": layer.__module__}
        properties = {name: _quantized_parameter(name) for name in parameters}
        _SWAPPED[key] = type(f"Quant{layer.__name__}", (Quantized, layer), {**members, **properties})
    return _SWAPPED[key]


def _blank(layer: type[nn.Module], parameters: tuple[str, ...]) -> nn.Module:
    kind = quantized_class(layer, parameters)
    return kind.__new__(kind)
