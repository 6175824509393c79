"""Sites: quantized weights in a model, put in and found again, and quantized outputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from .class_swap import Quantized, quantized_class
from .fake_quant import FakeQuant
from .groups import GroupedQuant, split
from .names import WEIGHT, module_name, site_name, weight_key
from .rule import SiteSpec

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
"""Their children are counted and sliced by others; a quantizer among them would be taken for a layer."""
NORMS = (nn.modules.batchnorm._NormBase,)


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
            return cast(Tensor, self.module.finished(self.module.float_class.forward(self.module, x)))
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
            self.release_input()
        if left or self.module.quantizes_output:
            self.module.__class__ = quantized_class(layer, left)
        else:
            del self.module.act_quant
            self.module.__class__ = layer


def insert(
    model: nn.Module, name: str, parameter: str, weight_quant: FakeQuant, *, act_quant: FakeQuant | None
) -> Site:
    """Make a Parameter of ``model`` a site with these fake quantizers."""
    module: Any = model.get_submodule(module_name(name, parameter))
    taken, layer = _before(module)
    setattr(module, f"{parameter}_quant", weight_quant.train(module.training))
    if act_quant is not None or not taken:
        module.act_quant = None if act_quant is None else act_quant.train(module.training)
    module.__class__ = quantized_class(layer, (*taken, parameter))
    return Site(name, module, parameter)


def _before(module: Any) -> tuple[tuple[str, ...], type[nn.Module]]:
    """The Parameters of a module that are quantized already, and its float class."""
    return (module.quantized, module.float_class) if isinstance(module, Quantized) else ((), type(module))


Inserted = tuple[SiteSpec, Site]


def insert_sites(
    model: nn.Module,
    chosen: Iterable[SiteSpec],
    readers: Collection[str],
    *,
    weight: Callable[[Tensor, SiteSpec], FakeQuant],
    act: Callable[[SiteSpec], FakeQuant],
) -> list[Inserted]:
    """Put fake quantizers at the chosen weights; layers that share a weight share its fake quantizer, too.

    Args:
        model: changed in place.
        chosen: the weights.
        readers: layers whose input is on a grid already, so that it gets no fake quantizer.
        weight: makes that of a weight.
        act: makes that of an input.
    """
    made: dict[int, FakeQuant] = {}
    inserted = []
    for spec in chosen:
        latent = latent_parameter(model, spec.key)
        if id(latent) not in made:
            made[id(latent)] = weight(latent, spec).to(latent.device)
        called = spec.parameter == WEIGHT and spec.act_bits is not None and spec.name not in readers
        act_quant = act(spec) if called else None
        inserted.append((spec, insert(model, spec.name, spec.parameter, made[id(latent)], act_quant=act_quant)))
    return inserted


def insert_output(model: nn.Module, name: str, quant: FakeQuant, *, copied: bool) -> None:
    """Quantize what the module ``name`` returns, as a copy where a reader may change it in place.

    The quantizer is a child of the module, but of the module around a BatchNorm: networks hold BatchNorm in evaluation
    mode while they train, and with it what is in it.
    """
    module: Any = model.get_submodule(name)
    already = isinstance(module, Quantized)
    taken, layer = _before(module)
    if not already:
        module.act_quant = None
    holder, inner = _holder(model, name)
    holder.add_module("_".join([*inner, "output_quant"]), quant.train(holder.training))
    module.__dict__["output_quant"], module.output_copied = quant, copied
    module.__class__ = quantized_class(layer, taken)


def _holder(model: nn.Module, name: str) -> tuple[nn.Module, list[str]]:
    """The module that is to hold the quantizer of another's output, and the path from it to the other."""
    parts = name.split(".")
    if isinstance(model.get_submodule(name), NORMS):
        for count in range(len(parts) - 1, -1, -1):
            around = model.get_submodule(".".join(parts[:count]))
            if not isinstance(around, CONTAINERS):
                return around, parts[count:]
    return model.get_submodule(name), []


def output_quants(model: nn.Module) -> dict[str, Any]:
    """Return the fake quantizers of outputs by module, in module order; several may be one object."""
    modules = model.named_modules()
    return {name: m.output_quant for name, m in modules if isinstance(m, Quantized) and m.quantizes_output}


def act_quants(model: nn.Module) -> list[Any]:
    """Return the fake quantizers of inputs, then those of outputs, each once, in module order."""
    inputs = [site.act_quant for _, site in sites_of(model) if site.act_quant is not None]
    return list(dict.fromkeys([*inputs, *output_quants(model).values()]))


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
