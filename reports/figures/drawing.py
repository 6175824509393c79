"""A figure as the report keeps it: one Vega-Lite specification, from which the page's figure and every file are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from ..text import escape

Spec = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure.

    Attributes:
        name: of its files, without ending; unique in a report.
        title: plain text, escaped on output.
        where: the data it is about, in words; may be empty.
        caption: what it shows, in a sentence or two; plain text.
        spec: Vega-Lite, without title and configuration.
        keys: the records it shows.
    """

    name: str
    title: str
    where: str
    caption: str
    spec: Spec
    keys: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """Return the title with the data it is about."""
        return f"{self.title}: {self.where}" if self.where else self.title

    def files(self) -> Iterator[tuple[str, str, Spec]]:
        """Yield name, words and specification of each file: one for each option of a drop-down list, else one."""
        lists = [p for p in self.spec.get("params", ()) if _is_list(p.get("bind"))]
        others = [p for p in self.spec.get("params", ()) if p not in lists]
        for chosen in product(*(_options(p) for p in lists)):
            fixed = [{"name": p["name"], "value": value} for p, (value, _) in zip(lists, chosen, strict=True)]
            name = "-".join([self.name, *(escape.slug(words) for _, words in chosen)])
            said = [f"{p['bind'].get('name', '')}{words}" for p, (_, words) in zip(lists, chosen, strict=True)]
            yield name, ", ".join(said), {**self.spec, "params": [*others, *fixed]}


def _is_list(bound: Any) -> bool:
    return isinstance(bound, dict) and bound.get("input") == "select"


def _options(parameter: Spec) -> list[tuple[Any, str]]:
    """Value and words of each entry of a drop-down list."""
    values = parameter["bind"]["options"]
    return list(zip(values, map(str, parameter["bind"].get("labels", values)), strict=True))


def titled(spec: Spec, *lines: str) -> Spec:
    """Return a specification with a title and, below, further lines that are not empty."""
    title, *rest = lines
    below = {"subtitle": [line for line in rest if line]}
    return {**spec, "title": {"text": title, **(below if any(rest) else {})}}
