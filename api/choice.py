"""From what `quantdg.quantize` is given, a name, a class or an instance, to a quantizer ready to be prepared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quantdg.bench.experiment.component import import_object
from quantdg.bench.experiment.offers import find_offer, offers, own_settings
from quantdg.bench.experiment.type_check import check_settings
from quantdg.core.errors import ConfigError, MissingPackageError
from quantdg.quantizers.base import Plan, Quantizer
from quantdg.quantizers.spec import QuantSpec, check_bits

Settings = dict[str, Any]
SPEC = ("weight_bits", "act_bits", "granularity", "group_size", "placement", "rules")


def quantizer_names() -> list[str]:
    """Names of all installed quantizers, the project's own and those of other packages, sorted."""
    return sorted(offers("quantizer"))


def _of_name(name: str) -> tuple[type[Quantizer], Settings]:
    """The class of a name and its settings: those of its configuration file, none for another package's."""
    offer = find_offer("quantizer", name)
    return import_object(offer.target), {} if offer.origin else own_settings("quantizer", name)


def _of_class(kind: type[Quantizer]) -> tuple[type[Quantizer], Settings]:
    """A class has the settings of the name it is known by, where there is one."""
    if kind.name in offers("quantizer") and (found := _of_name(kind.name))[0] is kind:
        return found
    return kind, {}


def _spec(name: str, default: Mapping[str, Any] | None, asked: Settings) -> QuantSpec:
    """The settings of a quantizer's file with those that were asked for; ``default`` None: it has no bits."""
    if default is None:
        for key in ("weight_bits", "act_bits", "granularity", "group_size", "placement"):
            if asked[key] is not None:
                word = "bits" if key == "weight_bits" else key
                raise ConfigError(f"{name} quantizes nothing, got {word}={asked[key]!r}; leave {word} out")
    given = {key: value for key, value in asked.items() if value is not None}
    return QuantSpec(**{**(default or {}), **given})


def _check_kind(kind: Any) -> type[Quantizer]:
    if not (isinstance(kind, type) and issubclass(kind, Quantizer)):
        raise ConfigError(
            f"a quantizer is a name, a subclass of quantdg.quantizers.Quantizer or an instance of one, got {kind!r}; "
            f"the names are: {', '.join(quantizer_names())}"
        )
    missing = kind.missing()
    if missing:
        raise MissingPackageError(f"{kind.name} needs a package that is not installed: {missing}")
    return kind


def _fresh(instance: Quantizer, asked: Settings, options: Settings) -> Quantizer:
    """An instance as it is; it holds its settings already."""
    given = [*(key for key in SPEC if asked[key]), *options]
    if given:
        words = ", ".join("bits" if key == "weight_bits" else key for key in given)
        raise ConfigError(f"an instance has its settings, got {words} as well; give them to {type(instance).__name__}")
    if instance.plan != Plan():
        raise ConfigError(f"an instance of {type(instance).__name__} quantizes one model, this one has; make another")
    _check_kind(type(instance))
    return instance


def make_quantizer(chosen: str | type[Quantizer] | Quantizer, asked: Settings, options: Settings) -> Quantizer:
    """The quantizer that is asked for.

    Args:
        chosen: an installed name, a class or an instance that was not used yet.
        asked: the fields of a `QuantSpec` named in SPEC; None (for ``rules``: no rule) leaves a field as the
            quantizer's file has it.
        options: keyword arguments of the class.

    Raises:
        ConfigError: unknown names (with the nearest), values out of range, settings beside an instance.
        MissingPackageError: the quantizer needs a package that is not installed.
    """
    check_bits("bits", asked["weight_bits"])
    check_bits("act_bits", asked["act_bits"])
    if isinstance(chosen, Quantizer):
        return _fresh(chosen, asked, options)
    kind, settings = _of_name(chosen) if isinstance(chosen, str) else _of_class(_check_kind(chosen))
    name = chosen if isinstance(chosen, str) else kind.name
    spec = _spec(name, settings.pop("spec", {}), asked)
    settings.update(options)
    check_settings(name, _check_kind(kind), settings)
    return kind(spec, **settings)
