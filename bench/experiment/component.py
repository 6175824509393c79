"""The configured parts of an experiment: what to import and what to call it with."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ...core.errors import ConfigError, MissingPackageError, QuantDGError, one_line
from ...quantizers.spec import QuantSpec
from .type_check import check_settings

if TYPE_CHECKING:
    from ...quantizers.base import Quantizer


def import_object(path: str) -> Any:
    """Import the object named ``package.module.Name``.

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
    except QuantDGError:
        raise
    except Exception as error:  # a module of another package may raise anything
        raise _not_importable(path, error) from error


def _not_importable(path: str, error: Exception) -> ConfigError:
    said = one_line(error, kind=not isinstance(error, (ImportError, AttributeError, ValueError)))
    return ConfigError(f"_target_ must name something importable, {path!r} is not ({said})")


def summary_of(part: Any) -> str:
    """Return the first sentence or two of a part's docstring, on one line; empty where it has none."""
    return (inspect.getdoc(part) or "").partition("\n\n")[0].replace("\n", " ")


INLINE = "import "
"""How the origin of a part begins that is named by its import path on a command line instead of by its name."""
KINDS = {
    "dataset": "quantdg.datasets.base.DomainDataset",
    "model": "quantdg.bench.models.base.DGModel",
    "algorithm": "quantdg.bench.algorithms.base.Algorithm",
    "transform": "quantdg.bench.transforms.base.Transform",
    "step_rule": "quantdg.bench.step_rules.base.StepRule",
    "optimizer": "torch.optim.Optimizer",
    "schedule": "quantdg.bench.schedules.base.Schedule",
    "quantizer": "quantdg.quantizers.base.Quantizer",
    "averaging": "quantdg.bench.averaging.base.WeightAverage",
}
"""What a part of each group is: a subclass of this, or a function whose return annotation is this or a subclass."""


@dataclass(frozen=True)
class Component:
    """A component is a configured part.

    Attributes:
        name: what tables show.
        target: import path of its class or function; no part of its identity, so that files may move.
        options: keyword arguments.
        choice: its name among what is installed; empty where that is ``name``.
        origin: distribution and version of another package's part, or `INLINE` and its import path; empty for ours.
    """

    name: str
    target: str
    options: dict[str, Any]
    choice: str = ""
    origin: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """Return what it is, for a cell's key: the same wherever its code lies."""
        own = {"component": self.choice or self.name, "name": self.name, "options": self.options}
        return {**own, "origin": self.origin} if self.origin else own

    @property
    def trains(self) -> bool:
        """Say whether this average takes part in the training; one that cannot be imported counts as an observer."""
        try:
            return bool(getattr(import_object(self.target), "trains", False))
        except QuantDGError:
            return False

    @property
    def title(self) -> str:
        """Return what tables call a data set: its name, and how strong its shift is where that is not the usual.

        Seeds follow from the name alone, so that runs at several severities start from the same weights. One of the hub without
        a name of its own is called by the end of its path.
        """
        if self.name == "hub" and not self.origin and self.options.get("path"):
            return f"hub:{PurePath(str(self.options['path'])).stem}"
        severity = self.options.get("severity")
        return f"{self.name}@{severity:g}" if isinstance(severity, (int, float)) else self.name

    @property
    def architecture(self) -> str:
        """Return what tables call a model: the ``arch`` of a part of ours that has its file's name, else the name.

        So ``model=timm model.arch=deit_tiny_patch16_224`` and ``model=resnet18 model.arch=resnet34`` are what they are.
        """
        own = not self.origin and self.name == (self.choice or self.name)
        return str(self.options.get("arch", self.name)) if own else self.name

    def check(self, group: str) -> None:
        """Raise ConfigError where the target is no part of this group or does not take an option; builds nothing."""
        try:
            factory: Callable[..., Any] = import_object(self.target)
        except MissingPackageError:
            return
        kind = import_object(KINDS[group])
        made = factory if isinstance(factory, type) else _returned(factory)
        if not (isinstance(made, type) and issubclass(made, kind)):
            raise ConfigError(
                f"{group}._target_ must name a subclass of {KINDS[group]} or a function that is annotated to return one, "
                f"got {self.target!r}; choose {group}=NAME"
            )
        check_settings(self.name, factory, self.options, group)

    def build(self, *args: Any, **extra: Any) -> Any:
        """Call the target; an argument it does not take is a ConfigError."""
        factory: Callable[..., Any] = import_object(self.target)
        try:
            return factory(*args, **self.options, **extra)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise ConfigError(f"{self.name} cannot be configured so: {error}") from error


def _returned(factory: Any) -> Any:
    """The class that a function says it returns."""
    try:
        return inspect.signature(factory, eval_str=True).return_annotation
    except (NameError, TypeError, ValueError):
        return None


@dataclass(frozen=True)
class QuantizerComponent(Component):
    """This is a quantizer with what it quantizes; ``spec`` is None for a quantizer that reads none.

    ``note`` says what of the settings does not apply to it; it is no part of the identity.
    """

    spec: QuantSpec | None = None
    note: str = field(default="", compare=False)

    @property
    def identity(self) -> dict[str, Any]:
        """Return what it is and what it quantizes."""
        return {**super().identity, "spec": self.spec.identity if self.spec else None}

    def create(self, seed: int) -> Quantizer:
        """Return the quantizer, its own generator seeded with ``seed``."""
        quantizer: Quantizer = self.build(spec=self.spec, seed=seed)
        return quantizer
