"""What a record says beside its accuracies, as flat rows: file sizes, the audit, latency, provenance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from statistics import mean, median
from typing import Any

from ...bench.results.latency import Latency
from ...bench.results.record import Record
from .columns import METHOD, SECTION
from .variants import flatten

SIZES = ["float_file", "packed_file", "codes", "scales", "rest"]
AUDIT = ["levels", "noise", "saturation", "moved", "sites_moved", "scale_moved", "sites", "quantized", "layers"]
AUDIT += ["grid_distance", "oscillation", "dead", "outputs", "float_outputs", "outputs_moved"]
AUDIT += ["worst_noise", "noise_at", "noise_of_others", "worst_saturation", "saturation_at", "saturation_of_others"]
OWN = "own."
"""What the names of those entries begin with that one method alone has."""
_LATENCY = [
    "key",
    "runtime",
    "arithmetic",
    "batch",
    "threads",
    "size",
    "median_ms",
    "q25_ms",
    "q75_ms",
    "rounds",
    "ratio",
]
CURVE = ["key", "step", "source_acc", "target_out", "noise"]
LATENCY = [*_LATENCY, "machine"]


def size_row(record: Record) -> list[dict[str, Any]]:
    """Make a row with the bytes of the written files, or none."""
    if record.sizes is None:
        return []
    return [{"key": record.key, **{name: getattr(record.sizes, name) for name in SIZES}}]


_OLD_NAMES = {"scale_moved": "steps_moved"}
"""What records of version 0.3 call an entry of the audit."""


def _median(sites: list[Mapping[str, Any]], name: str) -> float | None:
    found = (site.get(name, site.get(_OLD_NAMES.get(name, name))) for site in sites)
    values = [float(value) for value in found if value is not None]
    return median(values) if values else None


def _own(sites: list[Mapping[str, Any]]) -> dict[str, float]:
    """Means over the sites of the numbers that one method alone has, by name."""
    found: dict[str, list[float]] = {}
    for site in sites:
        for name, value in site.items():
            if name.startswith(OWN) and value is not None:
                found.setdefault(name, []).append(float(value))
    return {name: mean(values) for name, values in found.items()}


def _worst(audit: Mapping[str, Mapping[str, Any]], name: str) -> tuple[float, str, float]:
    """The largest value of an entry, its layer, and the median of the other layers, NaN where there are none."""
    layer = max(audit, key=lambda n: float(audit[n].get(name) or 0))
    others = _median([site for other, site in audit.items() if other != layer], name)
    return float(audit[layer].get(name) or 0), layer, math.nan if others is None else others


def audit_row(record: Record) -> list[dict[str, Any]]:
    """Make a row of medians over the sites of one cell, and how many sites moved; none for a cell without an audit.

    ``worst_noise`` and ``worst_saturation`` are of the layers ``noise_at`` and ``saturation_at``, beside the
    median of the other layers. ``sites`` counts the audited layers, ``quantized`` those with integers and ``layers`` all that could have them.
    ``outputs`` counts those quantized, ``float_outputs`` those that ``placement=full`` had to leave in float, and
    ``outputs_moved`` is the median of the largest relative changes of what they learned. Entries called ``own.NAME`` are means over the sites.
    """
    sites: list[Mapping[str, Any]] = list(record.audit.values())
    if not sites:
        return []
    noise, saturation = (_worst(record.audit, name) for name in ("noise_to_signal", "saturation"))
    return [
        {
            "key": record.key,
            **dict(zip(AUDIT[-6:], (*noise, *saturation), strict=True)),
            "levels": _median(sites, "levels_used"),
            "noise": _median(sites, "noise_to_signal"),
            "saturation": _median(sites, "saturation"),
            "moved": _median(sites, "weight_moved"),
            "sites_moved": sum(float(site.get("weight_moved") or 0) > 0 for site in sites),
            "scale_moved": _median(sites, "scale_moved"),
            "grid_distance": _median(sites, "grid_distance"),
            "oscillation": _median(sites, "oscillation"),
            "dead": _median(sites, "dead"),
            "outputs": len(record.plan.get("outputs", ())),
            "float_outputs": len(record.plan.get("float_outputs", ())),
            "outputs_moved": _median([*record.outputs.values()], "scale_moved"),
            "sites": len(sites),
            "quantized": len(record.plan.get("sites", ())),
            "layers": len(record.plan.get("sites", ())) + len(record.plan.get("skipped", ())),
            **_own(sites),
        }
    ]


def audit_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what rows of `audit_row` say, in order: `AUDIT`, then what single methods add."""
    return [*AUDIT, *sorted({name for row in rows for name in row if name.startswith(OWN)})]


def curve_rows(record: Record) -> list[tuple[str, float, float, float, float]]:
    """Make one CURVE row a checkpoint, and before them one for the noise at insertion; NaN: it was not measured.

    ``noise`` is the mean over sites.
    """
    layers = list(record.noise.values())
    noise = [sum(values) / len(layers) for values in zip(*layers, strict=True)] or [math.nan] * (1 + len(record.curve))
    start = record.settings.get("protocol", {}).get("start_step", math.nan)
    rows = [(record.key, float(start), math.nan, math.nan, noise[0])] if layers else []
    for point, value in zip(record.curve, noise[1:], strict=True):
        rows.append((record.key, float(point["step"]), float(point["source_acc"]), float(point["target_out"]), value))
    return rows


def machine_words(machine: Mapping[str, Any]) -> str:
    """Describe a machine in one line, the same whatever order its entries have."""
    return ", ".join(f"{name} {value}" for name, value in sorted(flatten(machine).items())) or "not recorded"


def latency_row(latency: Latency) -> dict[str, Any]:
    """Make a row of one measurement with its cell's labels."""
    names = {column: str(getattr(latency.labels, column)) for column in (*SECTION, *METHOD)}
    values = {name: getattr(latency, name) for name in _LATENCY}
    return {**names, **values, "machine": machine_words(latency.machine)}


def provenance_items(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return (path, value) pairs, without digests, which differ in every record."""
    return ((path, str(value)) for path, value in flatten(provenance).items() if not path.endswith("sha256"))
