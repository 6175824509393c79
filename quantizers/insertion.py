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
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from ..core.errors import QuantizerError
from .fake_quant import FakeQuant, in_float32
from .groups import GroupedQuant, split
from .names import module_name, site_name, weight_key


class Quantized:
    """This mixin makes a module's quantized Parameters readable as quantized, and quantizes the input of a call.

    Attributes:
        float_class: the module's class before.
        quantized: names of its quantized Parameters.
        act_quant: the fake quantizer of the first argument of a call, or None.
    """

    float_class: type[nn.Module]
    quantized: tuple[str, ...]
    act_quant: FakeQuant | None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module's own forward on a quantized input; each weight is quantized once for it."""
        if self.act_quant is not None:
            if args:
                args = (in_float32(self.act_quant, args[0]), *args[1:])
            else:
                first = next(iter(kwargs))
                kwargs = {**kwargs, first: in_float32(self.act_quant, kwargs[first])}
        self.__dict__["_values"] = {}
        try:
            return super().forward(*args, **kwargs)  # type: ignore[misc]
        finally:
            del self.__dict__["_values"]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle by the float class, since a class made here has no module to be found in."""
        reduced = cast("tuple[Any, ...]", super().__reduce_ex__(protocol))
        made_here = _SWAPPED.get((self.float_class, self.quantized)) is cast(Any, type(self))
        if not made_here or reduced[0] is not copyreg.__newobj__:  # type: ignore[attr-defined]
            return reduced
        return _blank, (self.float_class, self.quantized), *reduced[2:]


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


@dataclass(frozen=True)
class Site:
    """A site is one quantized weight of a prepared model.

    Attributes:
        name: as in the plan.
        module: that holds the weight.
        parameter: name of the weight within the module.
    """

    name: str
    module: Any
    parameter: str

    @property
    def key(self) -> str:
        """The state-dict name of the weight."""
        return weight_key(self.name, self.parameter)

    @property
    def latent(self) -> nn.Parameter:
        """The float weight, which trains; ``getattr(module, parameter)`` gives the quantized one."""
        return cast(nn.Parameter, self.module._parameters[self.parameter])

    @property
    def weight_quant(self) -> Any:
        """The weight's fake quantizer."""
        return self.module._modules[f"{self.parameter}_quant"]

    def as_seen(self) -> tuple[Any, Tensor]:
        """Return the method's own fake quantizer and the latent weight in the shape that it sees, group by group or whole."""
        quant = self.weight_quant
        if isinstance(quant, GroupedQuant):
            return quant.inner, split(self.latent, quant.group_size)
        return quant, self.latent

    @property
    def act_quant(self) -> Any:
        """The fake quantizer of the module's input, or None."""
        return self.module.act_quant

    def run(self, weight: Tensor, x: Tensor) -> Tensor:
        """Run the module's own forward on a quantized input ``x`` with ``weight`` in the place of the quantized one."""
        self.module.__dict__["_values"] = {self.parameter: weight}
        try:
            return cast(Tensor, self.module.float_class.forward(self.module, x))
        finally:
            del self.module.__dict__["_values"]

    def owns(self, name: str) -> bool:
        """Say whether the dotted name is of a parameter of this site's fake quantizers."""
        module = module_name(self.name, self.parameter)
        return any(
            name.startswith(f"{module}.{part}.".lstrip(".")) for part in (f"{self.parameter}_quant", "act_quant")
        )

    def own_parameter(self, name: str) -> nn.Parameter:
        """Return the parameter of a dotted name that the site owns."""
        module = module_name(self.name, self.parameter)
        return latent_parameter(self.module, name.removeprefix(module).removeprefix("."))

    def release_input(self) -> None:
        """Take the fake quantizer of the input out."""
        del self.module.act_quant
        self.module.act_quant = None

    def release(self) -> None:
        """Make the weight a float one again."""
        left = tuple(name for name in self.module.quantized if name != self.parameter)
        delattr(self.module, f"{self.parameter}_quant")
        layer = self.module.float_class
        if not left:
            del self.module.act_quant
        self.module.__class__ = quantized_class(layer, left) if left else layer


def insert(
    model: nn.Module, name: str, parameter: str, weight_quant: FakeQuant, *, act_quant: FakeQuant | None
) -> Site:
    """Make a Parameter of ``model`` a site with these fake quantizers."""
    module: Any = model.get_submodule(module_name(name, parameter))
    already = isinstance(module, Quantized)
    taken, layer = (module.quantized, module.float_class) if already else ((), type(module))
    setattr(module, f"{parameter}_quant", weight_quant.train(module.training))
    if act_quant is not None or not taken:
        module.act_quant = None if act_quant is None else act_quant.train(module.training)
    module.__class__ = quantized_class(layer, (*taken, parameter))
    return Site(name, module, parameter)


def sites_of(model: nn.Module) -> Iterator[tuple[str, Site]]:
    """Yield the sites of a prepared model with their names, in module order."""
    for name, module in model.named_modules():
        if isinstance(module, Quantized):
            for parameter in module.quantized:
                site = site_name(name, parameter)
                yield site, Site(site, module, parameter)


def latent_parameter(model: nn.Module, key: str) -> nn.Parameter:
    """Return the Parameter that the state-dict name ``key`` stands for.

    `nn.Module.get_parameter` cannot: it reads the attribute, which is quantized at a site.
    """
    module, _, name = key.rpartition(".")
    parameter = model.get_submodule(module)._parameters.get(name)
    if parameter is None:
        raise AttributeError(f"the model has no Parameter {key!r}")
    return parameter


def leave_fast_path(model: nn.Module) -> None:
    """Let torch's encoder layers call their sublayers in evaluation too: the fused path would skip input quantizers."""
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoder):
            module.use_nested_tensor = False
        elif isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0
