"""What two folders do not share: rows, domains, seeds, settings, versions and machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from ...bench.results.record import quantizer_label
from ..frames.columns import Section
from ..frames.results import Results
from ..verdict.judge import chosen
from .pairs import Comparison, Difference, differences, section_pairs

UNSET = "unset"
_MADE_WITH = ("versions.", "machine.", "git.commit", "threads")


def compared(first: Results, second: Results, alpha: float | None = None) -> Comparison:
    """Compare two run folders; ``alpha`` is the level of each test, None: as fixed with the first."""
    rules = chosen(first.rules, margin=None, alpha=alpha)
    found = tuple(differences(first, second, rules))
    pairs = section_pairs(first, second)
    return Comparison(
        differences=found,
        alone=(tuple(_alone(first, second, pairs, 0)), tuple(_alone(second, first, pairs, 1))),
        settings=_settings(first, second, found),
        made_with=tuple(_made_with(first, second)),
        rules=rules,
    )


def _alone(own: Results, other: Results, pairs: list[tuple[Section, Section]], side: int) -> Iterator[str]:
    """Sections without a counterpart; then methods, domains and seeds of those that have one."""
    partners = {pair[side]: pair[1 - side] for pair in pairs}
    for section, cube in own.cubes.items():
        where = " ".join(section)
        if section not in partners:
            yield f"all of {where}"
            continue
        theirs = other.cubes[partners[section]]
        known = {method[:3] for method in theirs.methods}
        methods = dict.fromkeys(method[:3] for method in cube.methods if method[:3] not in known)
        yield from (f"{section[0]} {m[0]} {quantizer_label(m[1], m[2])}" for m in methods)
        rules = dict.fromkeys(method[3] for method in cube.methods)
        yield from _more(section[0], "selection", rules, {method[3] for method in theirs.methods})
        yield from _more(section[0], "domain", cube.targets, theirs.targets)
        yield from _more(section[0], "seed", cube.seeds, theirs.seeds)


def _more(dataset: str, what: str, own: Iterable[object], theirs: Iterable[object]) -> Iterator[str]:
    known = set(theirs)
    found = [str(value) for value in own if value not in known]
    if found:
        yield f"{dataset} {what}{'s' if len(found) > 1 else ''} {', '.join(found)}"


def _settings(first: Results, second: Results, found: Iterable[Difference]) -> dict[tuple[str, str, str], int]:
    rows = dict.fromkeys((*d.sections, d.method[:3]) for d in found)
    counts: Counter[tuple[str, str, str]] = Counter()
    for one, two, method in rows:
        a, b = json.loads(first.forms[(*one, *method)]), json.loads(second.forms[(*two, *method)])
        for path in sorted({*a, *b}):
            values = tuple(str(form.get(path, UNSET)) for form in (a, b))
            if values[0] != values[1]:
                counts[path, values[0], values[1]] += 1
    return dict(sorted(counts.items()))


def _made_with(first: Results, second: Results) -> Iterator[tuple[str, str, str]]:
    """Entries of the provenance whose values are not the same in both."""
    values: list[dict[str, set[str]]] = [{}, {}]
    for side, results in zip(values, (first, second), strict=True):
        for path, value in results.provenance:
            if path.startswith(_MADE_WITH):
                side.setdefault(path, set()).add(value)
    for path in sorted({*values[0], *values[1]}):
        one, two = (", ".join(sorted(side.get(path, {"not recorded"}))) for side in values)
        if one != two:
            yield path, one, two
