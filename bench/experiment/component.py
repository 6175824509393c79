"""The configured parts of an experiment: what to import and what to call it with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ...core.errors import ConfigError, MissingPackageError
from ...quantizers.base import Quantizer
from ...quantizers.spec import QuantSpec
from .type_check import check_settings


def import_object(path: str) -> Any:
    """The object named ``package.module.Name``.

    Raises:
        MissingPackageError: its module needs a package, or a part of one, that is not installed here.
        ConfigError: it cannot be imported for another reason.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name and not f"{module}.".startswith(f"{error.name}."):
            raise MissingPackageError(f"{path} needs {error.name}, which is not installed here; install it") from error
        raise _not_importable(path, error) from error
    except (ImportError, AttributeError, ValueError) as error:
        raise _not_importable(path, error) from error


def _not_importable(path: str, error: Exception) -> ConfigError:
    return ConfigError(f"_target_ must name something importable, {path!r} is not ({error})")


@dataclass(frozen=True)
class Component:
    """A configured part: its name, the import path of its class or function, its keyword arguments."""

    name: str
    target: str
    options: dict[str, Any]

    def check(self) -> None:
        """ConfigError for an option that the target does not take, or takes of another type, before anything is built."""
        try:
            factory: Callable[..., Any] = import_object(self.target)
        except MissingPackageError:
            return
        check_settings(self.name, factory, self.options)

    def build(self, *args: Any, **extra: Any) -> Any:
        """Call the target; an argument it does not take is a ConfigError."""
        factory: Callable[..., Any] = import_object(self.target)
        try:
            return factory(*args, **self.options, **extra)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise ConfigError(f"{self.name} cannot be configured so: {error}") from error


@dataclass(frozen=True)
class QuantizerComponent(Component):
    """A quantizer with what it quantizes; ``spec`` is None for a quantizer that reads none."""

    spec: QuantSpec | None = None

    def create(self, seed: int) -> Quantizer:
        """The quantizer, its own generator seeded with ``seed``."""
        quantizer: Quantizer = self.build(spec=self.spec, seed=seed)
        return quantizer
