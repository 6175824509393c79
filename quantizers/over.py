"""Methods over any grid: a quantizer that changes when or where another one rounds its weights.

`OverQuantizer` makes the fake quantizers of its base and puts each into an `OverQuant`; a method writes a subclass of
each. What the base learns, clips, exports and refuses stays the base's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, cast

from torch import Tensor, nn

from ..core.errors import ConfigError, UnknownNameError
from .fake_quant import FakeQuant, QParams
from .groups import quantizer_of
from .sites import SiteQuantizer
from .spec import QuantSpec, SiteSpec


def bases() -> dict[str, type[SiteQuantizer]]:
    """Return the quantizers of this package that declare themselves a base, by name: those in modules that can be imported."""
    package = import_module(__package__ or "")
    found = (_declared(module.name) for module in iter_modules(package.__path__) if not module.ispkg)
    return {kind.name: kind for kind in found if kind is not None}


def _declared(name: str) -> type[SiteQuantizer] | None:
    """The base that a module of this package is about, and is named after; a subclass of it declares for itself."""
    try:
        module = import_module(f".{name}", __package__)
    except ImportError:
        return None
    for kind in vars(module).values():
        own = isinstance(kind, type) and issubclass(kind, SiteQuantizer) and kind.__module__ == module.__name__
        if own and vars(kind).get("is_base") and kind.name == name:
            return cast("type[SiteQuantizer]", kind)
    return None


def base_class(name: str) -> type[SiteQuantizer]:
    """Return the quantizer of this name; UnknownNameError for one that is no base.

    Those of other packages are no bases: a cell's identity would not hold the version of their package.
    """
    kind = _declared(name) if name.isidentifier() else None
    if kind is None:
        raise UnknownNameError("quantizer to build on", name, bases())
    return kind


class OverQuant(FakeQuant):
    """This fake quantizer decides, weight by weight, what of another one's output the network sees in training.

    Args:
        inner: the base's fake quantizer of the weight.
    """

    def __init__(self, inner: FakeQuant) -> None:
        super().__init__()
        self.inner = inner

    def in_training(self, x: Tensor, quantized: Tensor) -> Tensor:
        """Return what a training forward sees of the weight ``x`` and its quantized value, both of x's shape."""
        return quantized

    def forward(self, x: Tensor) -> Tensor:
        """Return the base's output; in training, and only there, what `in_training` makes of it."""
        quantized: Tensor = self.inner(x)
        return self.in_training(x, quantized) if self.training and not self.calibrating else quantized

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the base's grid."""
        return self.inner.qparams(x)

    def unfit(self, x: Tensor) -> float | None:
        """Return what the base says."""
        return self.inner.unfit(x)

    def own(self, x: Tensor) -> dict[str, float]:
        """Return what the base says; a method adds its own."""
        return self.inner.own(x)

    def advance(self, weight: Tensor, step: int) -> None:
        """Let the base move its schedule."""
        self.inner.advance(weight, step)


class OverQuantizer(SiteQuantizer):
    """A method over the grid of another quantizer.

    Args:
        spec: what to quantize.
        base: the quantizer whose grid it is, one of `bases`.
        base_settings: the base's own settings by name.
        options: the settings of `SiteQuantizer`, with what they mean for the base.
    """

    fixed_scale_reason = ""

    def __init__(
        self,
        spec: QuantSpec | None = None,
        *,
        base: str = "lsq",
        base_settings: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        kind = base_class(base)
        try:
            self.base = kind(spec, **options, **(base_settings or {}))
        except TypeError as error:
            raise ConfigError(f"base_settings must be settings of {base}: {error}; write base_settings={{}}") from error
        super().__init__(spec, lr_ratio=self.base.lr_ratio, seed=self.base.seed)
        self.averaged, self.scale_factor = self.base.averaged, self.base.scale_factor
        self.groups = "none" if self.base.groups == "none" else "whole"
        self.beyond, self.dead_weights = self.base.beyond, self.dead_weights or self.base.dead_weights

    @abstractmethod
    def over(self, inner: FakeQuant, weight: Tensor, site: SiteSpec) -> OverQuant:
        """Make the method's fake quantizer around the base's."""

    def weight_quantizer(self, weight: Tensor, site: SiteSpec) -> FakeQuant:
        """Put the method around the base's fake quantizer."""
        inner = quantizer_of(self.base.weight_quantizer, weight, site, self.base.groups)
        return self.over(inner.to(weight.device), weight, site)

    def act_quantizer(self, site: SiteSpec) -> FakeQuant:
        """Quantize inputs as the base does."""
        return self.base.act_quantizer(site)

    def refuses(self, site: SiteSpec) -> str:
        """Refuse what the base refuses."""
        return self.base.refuses(site)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return the base's penalty."""
        return self.base.penalty(model)
