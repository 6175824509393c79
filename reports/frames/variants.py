"""Cells that carry one label but differ in their settings get labels of their own, so no average mixes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from .columns import METHOD, SECTION

_REPLICATE = ("target", "seed")
_IMAGES = "dataset.fingerprint"


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write nested settings as dotted paths to scalars; lists are kept as their JSON."""
    out: dict[str, Any] = {}
    for name, value in settings.items():
        path = f"{prefix}{name}"
        if isinstance(value, (dict, Mapping)):  # which asks a plain dictionary first: it is quicker
            out.update(flatten(value, f"{path}."))
        else:
            out[path] = json.dumps(value) if isinstance(value, list) else value
    return out


def identity(settings: Mapping[str, Any]) -> str:
    """Return canonical JSON of the settings without target and seed, equal for cells that may be averaged."""
    shared = {name: value for name, value in settings.items() if name not in _REPLICATE}
    return json.dumps(flatten(shared), sort_keys=True)


def _varying(forms: Iterable[str]) -> list[str]:
    flats = [json.loads(form) for form in forms]
    paths = sorted({path for flat in flats for path in flat})
    return [path for path in paths if len({json.dumps(flat.get(path)) for flat in flats}) > 1]


def _suffixes(forms: pd.Series[str], paths: list[str]) -> pd.Series[str]:
    """For each form the values of these settings, for example `` (lr_ratio=0.1)``."""
    unique = forms.unique()
    short = {form: _suffix(form, paths, _said) for form in unique}
    whole = {form: _suffix(form, paths, lambda _, value: str(value)) for form in unique}
    return forms.map(whole if len(set(short.values())) < len(set(whole.values())) else short)


def _suffix(form: str, paths: list[str], said: Callable[[str, Any], str]) -> str:
    flat = json.loads(form)
    parts = [f"{path.rpartition('.')[2]}={said(path, flat.get(path, 'unset'))}" for path in paths]
    return f" ({', '.join(parts)})"


def _said(path: str, value: Any) -> str:
    """A setting's value; of layer rules only what they change: their ``null`` in a record stands for what they leave alone."""
    if not path.endswith("spec.rules"):
        return str(value)
    try:
        return f"[{', '.join(map(_rule, json.loads(value)))}]"
    except (TypeError, ValueError, AttributeError):
        return str(value)


def _rule(rule: Mapping[str, Any]) -> str:
    changes = [
        f"{name}={value}" for name, value in rule.items() if name not in ("pattern", "skip") and value is not None
    ]
    return " ".join([str(rule.get("pattern")), *(["skip"] if rule.get("skip") else []), *changes])


def distinguish(cells: pd.DataFrame) -> pd.DataFrame:
    """Append to labels what tells cells apart.

    Settings of the quantizer or algorithm that vary inside one (algorithm, quantizer, bits) are appended
    to its name, any other one to the protocol's, which makes it a separate table. The data sets of one model and protocol have the same
    settings appended, so that each stands beside what was run as it was; but for those of a data set, among them its images
    where they vary between methods, which are never compared on others.

    Args:
        cells: columns of SECTION and METHOD, and ``form``: `identity` of the cell's settings.

    Returns:
        A frame of the same shape and order.
    """
    cells = cells.copy()
    shared: dict[tuple[str, ...], set[str]] = {}
    for labels, group in cells.groupby([*SECTION, *METHOD], sort=True):
        paths = _varying(group["form"].unique())
        for column in ("quantizer", "algorithm"):
            own = [p for p in paths if p.startswith(f"{column}.")]
            if own:
                cells.loc[group.index, column] = group[column] + _suffixes(group["form"], own)
        section = tuple(map(str, labels[: len(SECTION)]))
        for path in paths:
            if not path.startswith(("quantizer.", "algorithm.")):
                shared.setdefault(section if path.startswith("dataset.") else section[1:], set()).add(path)
    for labels, forms in cells.groupby(SECTION, sort=True)["form"]:
        section = tuple(map(str, labels))
        images = {_IMAGES} if _IMAGES in _varying(forms.unique()) else set()
        found = images | shared.get(section, set()) | shared.get(section[1:], set())
        if found:
            cells.loc[forms.index, "protocol"] += _suffixes(forms, sorted(found))
    return cells
