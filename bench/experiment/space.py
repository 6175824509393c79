"""Which hyper-parameters a search sets, and from which ranges: those beside the settings, then those of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ...core.errors import ConfigError, MissingPackageError, UnknownNameError
from ...core.ranges import Range, Ranges, ranges_of, read_range
from ...quantizers.spec import QuantSpec
from .component import Component, import_object
from .grid import Experiment
from .offers import SEVERAL
from .protocol import Protocol, protocol_ranges
from .search import ALONE, PLAIN, Search
from .setup import Setup
from .signature import free_parameters, parameters_of
from .type_check import check_types, fits_type, hints_of


def prefix_of(group: str, part: Component) -> str:
    """Return how the settings of a part begin on a command line, for example ``algorithm.coral.``."""
    return f"{group}.{part.choice or part.name}." if group in SEVERAL else f"{group}."


class _Settings:
    """These are the settings below one prefix that a search may set.

    Attributes:
        hints: annotated types by name.
        open: whether further names are taken.
    """

    def __init__(self, group: str, kind: Any) -> None:
        self.known = set(free_parameters(group, kind))
        self.hints: Mapping[str, Any] = dict.fromkeys(self.known) | hints_of(kind)
        self.open = parameters_of(kind)[1]


def _settings(experiment: Experiment, setup: Setup) -> Iterator[tuple[str, _Settings, Ranges]]:
    """The prefix of each part, its settings and the ranges beside them; a part that is not installed has none."""
    yield "protocol.", _Settings("", Protocol), {}
    shared = [(group, part) for group, part in experiment.components() if group not in ("dataset", "model")]
    for group, part in [("model", setup.model), *shared]:
        prefix = prefix_of(group, part)
        try:
            kind = import_object(part.target)
        except MissingPackageError:
            continue
        yield prefix, _Settings(group, kind), ranges_of(kind)
        if group == "quantizer" and getattr(part, "spec", None) is not None:
            yield f"{prefix}spec.", _Settings("", QuantSpec), {}


def search_space(experiment: Experiment, search: Search, setup: Setup, shape: tuple[int, int, int]) -> dict[str, Range]:
    """Return the range of each hyper-parameter on one data set, by its name on the command line.

    Args:
        experiment: whose parts are searched.
        search: what of them.
        setup: the data set; a range below its name, for example ``protocol.pacs.lr``, is its own.
        shape: (C, H, W) of the images, which the protocol's ranges depend on.

    Raises:
        UnknownNameError: a range or a pattern is of no setting of this experiment.
        ConfigError: a range holds what its setting does not take, or nothing is left to search.
    """
    parts = {prefix: (settings, ranges) for prefix, settings, ranges in _settings(experiment, setup)}
    beside = {f"protocol.{name}": own for name, own in protocol_ranges(max(shape[1:])).items()}
    for prefix, (_, ranges) in parts.items():
        beside |= {f"{prefix}{name}": own for name, own in ranges.items()}
    found = beside if search.trials is not None else {}
    written = dict(_written(search, setup.dataset.name, [s.dataset.name for s in experiment.setups]))
    written |= {name: list(values) for name, values in search.lists.get(setup.name, {}).items()}
    for name, node in written.items():
        settings, setting = _find(name, parts)
        hint = settings.hints.get(setting)
        if node is None:
            found.pop(name, None)
            continue
        found[name] = read_range(name, node, whole=hint is not None and fits_type(1, hint) and not fits_type(1.5, hint))
        for value in found[name].ends:
            check_types(name.rpartition(".")[0], settings.hints, {setting: value})
    return _narrowed(found, search)


def _written(search: Search, dataset: str, datasets: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The ranges of the command line that hold on a data set, its own last."""
    own = []
    for name, node in search.ranges.items():
        group, _, rest = name.partition(".")
        alone = next((d for d in datasets if group in ALONE and rest.startswith(f"{d}.")), None)
        if alone is None:
            yield name, node
        elif alone == dataset:
            own.append((f"{group}.{rest.removeprefix(f'{alone}.')}", node))
    yield from own


def _find(name: str, parts: Mapping[str, tuple[_Settings, Ranges]]) -> tuple[_Settings, str]:
    known = {f"{prefix}{key}" for prefix, (settings, _) in parts.items() for key in settings.known} - set(PLAIN)
    prefix = max((p for p in parts if name.startswith(p)), key=len, default="")
    setting = name.removeprefix(prefix)
    if name not in known and not (prefix and parts[prefix][0].open and setting and name not in PLAIN):
        raise UnknownNameError("setting of this run to search", name, known)
    return parts[prefix][0], setting


def _narrowed(found: dict[str, Range], search: Search) -> dict[str, Range]:
    if search.over is not None:
        for pattern in search.over:
            if not any(fnmatchcase(name, pattern) for name in found):
                raise UnknownNameError("hyper-parameter with a range", pattern, found)
        found = {name: own for name, own in found.items() if any(fnmatchcase(name, p) for p in search.over)}
    if not found and search.trials != 1:
        raise ConfigError(
            "a search needs a hyper-parameter with a range, this run has none; write 'search.ranges.protocol.lr={log:[1e-5,1e-3]}'"
        )
    return found
