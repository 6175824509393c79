"""A search for hyper-parameters, as it is configured: ``search.trials``, ranges, and lists in place of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...core.errors import ConfigError, QuantDGError
from ...core.numbers import check_numbers, meaning
from ...core.repeats import refuse_repeats
from ...quantizers.spec import QuantSpec
from .component import import_object
from .offers import SEVERAL
from .protocol import Protocol
from .type_check import check_settings, fits_type, hints_of

Sampler = Literal["random", "tpe"]
Select = Literal["each_seed", "held_out_seed"]
ALONE = ("protocol", "model", "averaging")
"""Groups with settings that a data set may have alone."""
SHARED = ("algorithm", "transform", "step_rule", "optimizer", "schedule", "quantizer", "averaging")
"""Groups whose settings all data sets have in common."""
PLAIN = ("protocol.name", "protocol.weights", "model.weights")
"""They decide what an experiment is; no search sets them."""


@dataclass(frozen=True)
class Search:
    """A search tries several hyper-parameters for each row of a table; source validation chooses among them.

    Attributes:
        trials: for each row, the first of them with the defaults; None: every combination of the lists.
        sampler: ``random``: draws that depend on seed, name and number alone; ``tpe``: Optuna's, after some of these.
        select: ``each_seed``: a trial is chosen for each (method, quantizer, target, seed), as in DomainBed;
            ``held_out_seed``: on the seeds of ``seeds``, which no table shows, for each (method, quantizer, target).
        seeds: the held-out seeds; the first gives the draws.
        over: patterns of the hyper-parameters that are searched, as of a shell; None: all that have a range.
        ranges: by name, as they are written; they come before those that stand beside the settings. None: not searched.
        lists: settings that were given as a list, by name, for each data set by its name.
    """

    trials: int | None = None
    sampler: Sampler = "random"
    select: Select = "each_seed"
    seeds: list[int] = field(default_factory=lambda: [1000])
    over: list[str] | None = None
    ranges: Mapping[str, Any] = field(default_factory=dict)
    lists: Mapping[str, Mapping[str, tuple[Any, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.trials is not None and self.trials < 1:
            raise ConfigError(
                f"search.trials must be at least 1, the defaults alone, got {self.trials}; write search.trials=20 as DomainBed, "
                "or null for no search"
            )
        if not self.seeds or min(self.seeds) < 0:
            raise ConfigError(f"search.seeds must be a list of seeds, got {self.seeds}; write 'search.seeds=[1000]'")
        refuse_repeats("search.seeds", self.seeds)
        if self.sampler == "tpe" and self.trials is None:
            raise ConfigError("search.sampler=tpe needs a number of trials, got none; write search.trials=20")

    @property
    def held_out(self) -> tuple[int, ...]:
        """Return the seeds on which a trial is chosen and that no table shows."""
        return tuple(self.seeds) if self.select == "held_out_seed" else ()


def configured_search(
    node: Mapping[str, Any], lists: Mapping[str, Mapping[str, tuple[Any, ...]]], seeds: tuple[int, ...]
) -> Search | None:
    """Read the settings of ``search``; None where nothing is searched.

    Args:
        node: the settings.
        lists: settings that were given as a list, by name, for each data set.
        seeds: that tables show.
    """
    node = {**node, "ranges": dict(_named(node.get("ranges") or {}, ""))}
    check_settings("search", Search, node)
    search = Search(**node, lists=lists)
    for name in ("over", "ranges"):
        if search.trials is None and getattr(search, name):
            raise ConfigError(f"search.{name} needs a number of trials, got none; write search.trials=20")
    if search.trials is None and not any(lists.values()):
        if search.select != "each_seed":
            raise ConfigError(f"search.select={search.select} needs a search, got none; write search.trials=20")
        return None
    if both := set(search.held_out) & set(seeds):
        raise ConfigError(
            f"search.seeds must be seeds that are not reported, got {min(both)}, which is among seeds; write other ones"
        )
    return search


def _named(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """The ranges of nested settings by their dotted names."""
    for key, value in node.items():
        if isinstance(value, Mapping) and not {"log", "uniform", "choice"} & set(value):
            yield from _named(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def take_lists(config: Mapping[str, Any], groups: Sequence[str]) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    """Separate lists from settings that take one value.

    Args:
        config: all groups and settings.
        groups: those that are looked at.

    Returns:
        The configuration with the first value of each list in its place, and the lists by name.
    """
    lists: dict[str, tuple[Any, ...]] = {}
    taken = dict(config)
    for group in groups:
        node = config.get(group)
        if not isinstance(node, Mapping):
            continue
        if group in SEVERAL:
            taken[group] = {
                name: _without_lists(f"{group}.{name}.", part, _hints(part), lists) for name, part in node.items()
            }
        else:
            hints = hints_of(Protocol) if group == "protocol" else _hints(node)
            taken[group] = _without_lists(f"{group}.", node, hints, lists)
    return taken, lists


def _hints(node: Any) -> dict[str, Any]:
    target = node.get("_target_") if isinstance(node, Mapping) else None
    try:
        return hints_of(import_object(target)) if isinstance(target, str) else {}
    except QuantDGError:  # whoever needs the part will say why it cannot be imported
        return {}


def _without_lists(prefix: str, node: Any, hints: Mapping[str, Any], lists: dict[str, tuple[Any, ...]]) -> Any:
    if not isinstance(node, Mapping):
        return node
    plain = dict(node)
    for key, value in node.items():
        name = f"{prefix}{key}"
        if key == "spec" and prefix.startswith("quantizer."):
            plain[key] = _without_lists(f"{name}.", value, hints_of(QuantSpec), lists)
        elif _is_grid(value, hints.get(key)):
            if name in PLAIN:
                raise ConfigError(
                    f"{name} takes one value, got {value}; a grid is over hyper-parameters, such as protocol.lr"
                )
            check_numbers(name, value)
            refuse_repeats(name, value, meaning)
            lists[name], plain[key] = tuple(value), value[0]
    return plain


def _is_grid(value: Any, hint: Any) -> bool:
    """Whether a value is several of what the setting takes, and not one that is itself a list."""
    return (
        isinstance(value, list)
        and bool(value)
        and hint is not None
        and not fits_type(value, hint)
        and all(fits_type(item, hint) for item in value)
    )
