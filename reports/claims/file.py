"""Reads a file of claims; whatever it says that nothing can mean is refused, with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, fields
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import yaml

from ...core.errors import ConfigError, UnknownNameError, one_line
from ..frames.ensembles import ENSEMBLE, SINGLE
from ..frames.flatness_rows import PLACES, SCALARS
from .statement import COLUMNS, TOGETHER, ClaimFile, Direction, Joined, RowPick, StatedClaim

SHIPPED = "qtdog"
_ENTRIES = tuple(field.name for field in fields(StatedClaim))
_NEEDED = tuple(field.name for field in fields(StatedClaim) if field.default is MISSING and field.name != "scope")
_PICKS = ("rows", "against", "when", "family")
_HEAD = ("title", "start", "scopes", "claims")
_BITS = re.compile(r"float|W\d+(A\d+)?( full)?( mixed)?|N=.+")
_MEASURE = re.compile(rf"((F|SAM)\([0-9.e-]+\)|{'|'.join(SCALARS)}) on ({'|'.join(PLACES)})")


def shipped() -> Path:
    """Return the file of QT-DoG's claims that comes with the package."""
    return Path(str(files("quantdg.reports") / "claims" / f"{SHIPPED}.yaml"))


def read_claims(path: Path) -> ClaimFile:
    """Read a file of claims.

    Args:
        path: a YAML file, as docs/claims.md describes it.

    Raises:
        ConfigError: it cannot be read, lacks an entry, or says what nothing can mean.
    """
    if path.exists() and not path.is_file():  # the opening of a pipe would never end
        raise ConfigError(f"a file of claims is YAML, {path} is a folder, a pipe or a device; see docs/claims.md")
    try:
        written = path.read_bytes()
        _refuse_second_entries(yaml.compose(written, yaml.SafeLoader), set())
        raw = yaml.safe_load(written)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(
            f"a file of claims is YAML, {path} is not readable as such: {one_line(error)}; see docs/claims.md"
        ) from error
    head = _mapping(f"the file {path.name}", raw, _HEAD)
    scopes = _scopes(head.get("scopes") or [{"name": "all domains"}])
    claims = tuple(_claim(entry, scopes) for entry in _sequence("claims", head.get("claims")))
    _distinct("the ids of claims", [claim.id for claim in claims])
    return ClaimFile(
        name=path.name,
        title=str(head.get("title", "Claims")),
        digest=sha256(written).hexdigest()[:16],
        start=_share(head["start"]) if "start" in head else "",
        scopes=scopes,
        claims=claims,
    )


def _refuse_second_entries(node: Any, seen: set[int]) -> None:
    """Refuse an entry that a mapping has twice, of which YAML silently keeps the last; an alias may come round again."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    inside = node.value
    if isinstance(node, yaml.MappingNode):
        _distinct(f"the entries from line {node.start_mark.line + 1} on", [key.value for key, _ in inside])
        inside = [value for _, value in inside]
    for value in inside:
        _refuse_second_entries(value, seen)


def _distinct(what: str, names: Sequence[object]) -> None:
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{what} must each be there once, got {', '.join(twice)} again; rename or leave out one")


def _mapping(what: str, raw: object, known: Collection[str]) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping) or not raw:
        raise ConfigError(f"{what} must have entries, got {raw!r}; write some of {', '.join(known)}")
    for name in raw:
        if name not in known:
            raise UnknownNameError(f"entry of {what}", str(name), known)
    return raw


def _sequence(what: str, raw: object) -> Sequence[Any]:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise ConfigError(f"{what} must be a list with at least one entry, got {raw!r}; begin each with a dash")
    return raw


def _scopes(raw: object) -> dict[str, tuple[str, ...]]:
    found = [_mapping("a scope", entry, ("name", "datasets")) for entry in _sequence("scopes", raw)]
    names = [_text("the name of a scope", scope.get("name")) for scope in found]
    _distinct("the names of scopes", names)
    return {name: _texts("datasets", scope.get("datasets", [])) for name, scope in zip(names, found, strict=True)}


def _texts(column: str, raw: object) -> tuple[str, ...]:
    """One value or a list of them."""
    values = raw if isinstance(raw, list) else [raw]
    return tuple(_share(value) if column == "start" else _text(column, value) for value in values)


def _text(column: str, value: object) -> str:
    if not isinstance(value, str):
        hint = f"; write W{value}" if column == "bits" else ""
        raise ConfigError(f"{column} must be a name, got {value!r}{hint}")
    if column == "bits" and not _BITS.fullmatch(value):
        raise ConfigError(f"bits are written as the tables write them, W7 or W7A8, got {value!r}")
    return value


def _share(raw: object) -> str:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not 0 <= raw < 1:
        raise ConfigError(f"start is a share of the steps, from 0 to below 1, got {raw!r}; write for example 0.4")
    return f"{raw:.2g}"


def _pick(what: str, raw: object, *, single: bool, known: Collection[str] = COLUMNS) -> RowPick:
    said = {name: _texts(name, value) for name, value in _mapping(what, raw, known).items()}
    for name, values in said.items():
        if single and len(values) != 1:
            raise ConfigError(
                f"{what} changes a column to one value, got {name}: {list(values)}; write one entry for each value"
            )
    return RowPick(**said)


def _picks(what: str, raw: object, *, single: bool) -> tuple[RowPick, ...]:
    """One entry or a list of them."""
    return tuple(_pick(what, entry, single=single) for entry in (raw if isinstance(raw, list) else [raw]))


def _choice(what: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise UnknownNameError(what, value, known)


def _claim(raw: object, scopes: Mapping[str, tuple[str, ...]]) -> StatedClaim:
    said = dict(_mapping("a claim", raw, _ENTRIES))
    what = f"claim {said.get('id')}"
    lacking = [name for name in _NEEDED if name not in said]
    if lacking:
        raise ConfigError(f"a claim needs {', '.join(_NEEDED)}, {what} lacks {', '.join(lacking)}; add it")
    for name in _ENTRIES:
        if name in said and name not in _PICKS and (not isinstance(said[name], str) or not said[name].strip()):
            raise ConfigError(f"{name} of {what} must be text, got {said[name]!r}; write a word or a sentence")
    said.setdefault("scope", next(iter(scopes)))
    for name, single in (("rows", False), ("against", True)):
        if name in said:
            said[name] = _picks(f"{name} of {what}", said[name], single=single)
    if "when" in said:
        said["when"] = _pick(f"when of {what}", said["when"], single=True)
    if "family" in said:
        said["family"] = _pick(f"family of {what}", said["family"], single=False, known=("quantizer", "bits"))
    made = StatedClaim(**said)
    _choice("scope", made.scope, scopes)
    _choice("alternative", made.alternative, get_args(Direction))
    _choice("way to take differences together", made.together, get_args(Joined))
    _check_contrast(what, made)
    return made


def _check_contrast(what: str, made: StatedClaim) -> None:
    if not made.in_points and not _MEASURE.fullmatch(made.metric):
        raise ConfigError(
            f"metric is accuracy, {TOGETHER}, or a measure of flatness on source or target, {what} has {made.metric!r}; write for "
            "example F(0.01) on source"
        )
    _check_selections(what, made)
    if made.alternative == "equal" and (not made.in_points or made.together != "every"):
        raise ConfigError(
            f"equal is within the run's margin in points of accuracy, of every difference; {what} has metric {made.metric} and "
            f"together {made.together}, leave both out"
        )
    if made.goes_with:
        _choice("quantity to go with", made.goes_with, ("gap",))
        if made.in_points or made.against or made.when or not made.rows:
            raise ConfigError(
                f"goes_with correlates a measure of flatness over rows: {what} needs metric and rows, and no against or when"
            )
    elif made.family and not made.is_gain:
        raise ConfigError(
            f"only gains over float are corrected together, {what} is none; leave family out or write against: {{quantizer: float}}"
        )
    elif bool(made.outside) == bool(made.rows) or bool(made.rows) != bool(made.against):
        raise ConfigError(
            f"a claim has rows and what they stand against, or outside, which says why records cannot test it; {what} has "
            f"{', '.join(name for name in ('rows', 'against', 'outside') if getattr(made, name)) or 'none of them'}"
        )


def _check_selections(what: str, made: StatedClaim) -> None:
    """Seeds together are an ensemble or one of them; without that metric there is neither."""
    wanted = (ENSEMBLE, SINGLE)
    for pick in made.picks:
        for name in pick.selection or ("",):
            if made.metric == TOGETHER and (name or pick in made.rows) and name not in wanted:
                raise ConfigError(
                    f"metric {TOGETHER} needs selection: {ENSEMBLE} or {SINGLE}, {what} has {name or 'none'}; write one"
                )
            if made.metric != TOGETHER and name in wanted:
                raise ConfigError(f"selection: {name} needs metric: {TOGETHER}, {what} has {made.metric}; write both")
