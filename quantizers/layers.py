"""Quantizing layers in place: a class swap that keeps Parameters, state-dict keys and attributes.

`conv.__class__` becomes a subclass of its own class, and the fake quantizers become the child modules
``weight_quant`` and ``act_quant``. Of the insertion styles in use (module replacement, parametrization,
graph rewriting) this one alone keeps Parameter identity, float keys and an overridden ``train()`` at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from ..core.errors import QuantizerError
from .base import Skipped
from .fake_quant import FakeQuant
from .spec import QuantSpec, SiteSpec

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class Site:
    """A site is a quantized layer; this mixin lets the layer's own forward see the quantized weight as ``weight``."""

    weight_quant: FakeQuant
    act_quant: FakeQuant | None

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to a quantized input with a quantized weight."""
        if self.act_quant is not None:
            x = self.act_quant(x)
        # An instance attribute shadows nn.Module's parameter lookup, so any layer subclass works unchanged.
        self.__dict__["weight"] = self.weight_quant(self._parameters["weight"])  # type: ignore[attr-defined]
        try:
            return super().forward(x)  # type: ignore[misc,no-any-return]
        finally:
            del self.__dict__["weight"]


class QuantConv2d(Site, nn.Conv2d):
    """This is a quantized nn.Conv2d; the class has a name of its own, so that a model with it pickles."""


class QuantLinear(Site, nn.Linear):
    """This is a quantized nn.Linear; the class has a name of its own, so that a model with it pickles."""


_SWAPPED: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: QuantConv2d, nn.Linear: QuantLinear}


def quantized_class(layer: type[nn.Module]) -> type[nn.Module]:
    """Return the class that a layer of class ``layer`` gets when it becomes a site; it is made once."""
    if layer not in _SWAPPED:
        _SWAPPED[layer] = type(f"Quant{layer.__name__}", (Site, layer), {})
    return _SWAPPED[layer]


def quantizable_layers(model: nn.Module) -> tuple[list[str], list[Skipped]]:
    """Return the names of the layers that can be quantized, and those that cannot, each with the reason.

    Raises:
        QuantizerError: the model is quantized already.
    """
    names, skipped, attention = [], [], ""
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            attention = name + "."
        if not isinstance(module, LAYERS):
            continue
        if isinstance(module, Site):
            raise QuantizerError(f"a model can be prepared once, but {name!r} is already quantized; start from float")
        if attention and name.startswith(attention):
            skipped.append(Skipped(name, "nn.MultiheadAttention reads this weight without calling the layer"))
        else:
            names.append(name)
    return names, skipped


def choose(model: nn.Module, spec: QuantSpec) -> tuple[list[SiteSpec], list[Skipped]]:
    """Divide the layers of ``model`` into those that ``spec`` quantizes and those it does not, each with the reason.

    Raises:
        NoMatchError: a rule of the spec matches no layer.
        QuantizerError: the model is quantized already.
    """
    names, skipped = quantizable_layers(model)
    spec.check_rules(names)
    sites = []
    for name in names:
        site = spec.site(name)
        if site is None:
            skipped.append(Skipped(name, "skipped by a rule of the spec"))
        else:
            sites.append(site)
    return sites, skipped


def sites_of(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the quantized layers of a prepared model with their names, in module order."""
    return ((name, m) for name, m in model.named_modules() if isinstance(m, Site))
