"""What a part can be told: the arguments of its class or function, read from the signature."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from typing import Any, NamedTuple

HANDED: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "algorithm": (3, ()),
    "dataset": (0, ("name", "root", "cache_dir", "progress")),
    "model": (2, ()),
    "optimizer": (1, ("lr", "weight_decay")),
    "quantizer": (0, ("spec", "seed")),
}
"""What the harness hands over itself: so many arguments by position, and these by name; no setting has their names."""


class Setting(NamedTuple):
    """A setting is an argument that a configuration may give.

    Attributes:
        name: of the argument.
        annotation: its type, or `inspect.Parameter.empty`.
        default: its value where it is left out, or `inspect.Parameter.empty` where it must be given.
        meaning: what the docstring says of it, on one line; may be empty.
    """

    name: str
    annotation: Any
    default: Any
    meaning: str


def parameters_of(factory: Callable[..., Any]) -> tuple[dict[str, Parameter], bool]:
    """Return the named parameters of a function or class, and whether it takes any further keyword.

    The ``**options`` of a class are those of the class it inherits from, and so on.
    """
    found: dict[str, Parameter] = {}
    further = False
    for initialiser in _initialisers(factory):
        try:
            own = list(_signature(initialiser).parameters.values())
        except ValueError:  # one that is written in C and says nothing
            return found, True
        for p in own[1:] if isinstance(factory, type) else own:
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                found.setdefault(p.name, p)
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            return found, False
        further = True
    return found, further


def _initialisers(factory: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    if not isinstance(factory, type):
        yield factory
        return
    for kind in factory.__mro__:
        if kind is not object and "__init__" in vars(kind):
            yield vars(kind)["__init__"]


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """With annotations evaluated where that works."""
    try:
        return inspect.signature(function, eval_str=True)
    except (NameError, TypeError):
        return inspect.signature(function)


def free_parameters(group: str, factory: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the parameters that a configuration of this group may give, by name, in the order of the signature."""
    count, names = HANDED.get(group, (0, ()))
    return {p.name: p for p in list(parameters_of(factory)[0].values())[count:] if p.name not in names}


def settings_of(group: str, factory: Callable[..., Any]) -> dict[str, Setting]:
    """Return `free_parameters` with what the docstrings say of them."""
    meanings = _meanings(factory)
    return {
        name: Setting(name, p.annotation, p.default, meanings.get(name, ""))
        for name, p in free_parameters(group, factory).items()
    }


def _meanings(factory: Callable[..., Any]) -> dict[str, str]:
    """What ``Args`` (of a dataclass, ``Attributes``) of the docstrings say, a class before those it inherits from."""
    kinds = factory.__mro__ if isinstance(factory, type) else (factory,)
    found: dict[str, str] = {}
    for kind in kinds:
        doc = f"{inspect.getdoc(kind) or ''}\n"
        for title in ("Args", "Attributes"):
            section = re.search(rf"^{title}:\n((?: +.*\n|\n)*)", doc, re.MULTILINE)
            entries = re.findall(r"^    (\w+): ((?:.|\n {5,})*)", section.group(1), re.MULTILINE) if section else []
            for name, text in entries:
                if not text.startswith("as for"):
                    found.setdefault(name, " ".join(text.split()))
    return found
