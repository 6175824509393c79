"""What a packed file's header may say; a header is the part of a file that an attacker writes freely.

Every number is checked before anything of its size is allocated, so a file can make the reader work no harder than
its own length allows.
"""

from __future__ import annotations

import json
import math
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

from ...core.errors import RecordError
from ...quantizers.export import ActQuant, SiteExport
from ...quantizers.names import WEIGHT, module_name, site_name

MAX_DIMS = 8
MAX_OFFSET = 2**15 - 2**8
"""Offset and code together fit in int16."""


@dataclass(frozen=True)
class SiteHeader:
    """This is one layer's entry.

    Attributes:
        bits: 1 to 8.
        shape: of the weight.
        offset: added to the stored codes.
        axis: the scale's dimension of the weight, or None for one scale.
        act: the input's grid, or None.
        parameter: name of the weight within its module.
        group_size: input channels that share a scale, or None.
    """

    bits: int
    shape: tuple[int, ...]
    offset: int
    axis: int | None
    act: ActQuant | None
    _: KW_ONLY
    parameter: str = WEIGHT
    group_size: int | None = None

    @property
    def count(self) -> int:
        """The layer has so many weights, exact for any shape, since these are Python's integers."""
        return math.prod(self.shape)

    @property
    def scale_shape(self) -> tuple[int, ...]:
        """The scale must have this shape."""
        if self.group_size is not None:
            return self.shape[0], self.shape[1] // self.group_size
        return () if self.axis is None else (self.shape[self.axis],)


def write_entry(site: SiteExport, offset: int) -> dict[str, Any]:
    """Make the entry of a site, ready for JSON."""
    q = site.weight
    act = asdict(site.act) if site.act else None
    entry = {"bits": q.bits, "shape": list(q.codes.shape), "offset": offset, "axis": q.axis, "act": act}
    if site.parameter != WEIGHT:
        entry["parameter"] = site.parameter
    if q.group_size is not None:
        entry["group_size"] = q.group_size
    return entry


def read_object(text: str, what: str, members: str) -> dict[str, Any]:
    """Parse a JSON object; RecordError, which names ``what`` it is and its ``members``, for anything else."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"the {what} must be JSON ({type(error).__name__})") from error
    if not isinstance(raw, dict):
        raise RecordError(f"the {what} must be an object of {members}, got {type(raw).__name__}")
    return raw


def read_header(text: str) -> dict[str, SiteHeader]:
    """Parse a header and check each entry; RecordError names the first that is wrong."""
    raw = read_object(text, "header", "layers")
    return {name: _entry(name, entry) for name, entry in raw.items()}


def _entry(name: str, raw: Any) -> SiteHeader:
    if not isinstance(raw, dict) or {"bits", "shape", "offset", "axis"} - set(raw):
        raise RecordError(f"the entry of {name!r} must be an object with bits, shape, offset and axis")
    shape = raw["shape"]
    if not isinstance(shape, list) or not 1 <= len(shape) <= MAX_DIMS or not all(_whole(n, 1, 2**40) for n in shape):
        raise RecordError(f"shape of {name!r} must be 1 to {MAX_DIMS} numbers above 0, got {_short(shape)}")
    _check(name, "bits", raw["bits"], 1, high=8)
    _check(name, "offset", raw["offset"], -MAX_OFFSET, high=MAX_OFFSET)
    if raw["axis"] is not None:
        _check(name, "axis", raw["axis"], 0, high=len(shape) - 1)
    parameter = raw.get("parameter", WEIGHT)
    if not isinstance(parameter, str) or site_name(module_name(name, parameter), parameter) != name:
        raise RecordError(f"the name of {name!r} must end with that of its parameter, got {_short(parameter)}")
    act = read_act(name, raw.get("act"))
    size = raw.get("group_size")
    if size is not None and (raw["axis"] != 0 or len(shape) < 2 or not _whole(size, 1, shape[1]) or shape[1] % size):
        raise RecordError(
            f"group_size of {name!r} must divide the input channels of the shape {shape} with scales along axis 0, "
            f"got {_short(size)} and axis {raw['axis']}"
        )
    return SiteHeader(raw["bits"], tuple(shape), raw["offset"], raw["axis"], act, parameter=parameter, group_size=size)


def read_act(name: str, raw: Any) -> ActQuant | None:
    """Read the grid of an input, or None for none; RecordError where it is neither."""
    if raw is None:
        return None
    fields = {"scale", "zero_point", "qmin", "qmax", "bits"}
    if not isinstance(raw, dict) or set(raw) != fields:
        raise RecordError(f"the input grid of {name!r} must have exactly {', '.join(sorted(fields))}")
    scale = raw["scale"]
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < math.inf:
        raise RecordError(f"the input scale of {name!r} must be a finite number above 0, got {_short(scale)}")
    _check(name, "input bits", raw["bits"], 2, high=8)
    _check(name, "input qmin", raw["qmin"], -128, high=255)
    _check(name, "input qmax", raw["qmax"], raw["qmin"] + 1, high=raw["qmin"] + 2 ** raw["bits"] - 1)
    zero = raw["zero_point"]
    if isinstance(zero, bool) or not isinstance(zero, (int, float)) or not abs(zero) <= MAX_OFFSET:
        raise RecordError(
            f"input zero_point of {name!r} must be from -{MAX_OFFSET} to {MAX_OFFSET}, got {_short(zero)}"
        )
    zero = int(zero) if float(zero).is_integer() else zero
    return ActQuant(float(scale), zero, raw["qmin"], raw["qmax"], bits=raw["bits"])


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _check(name: str, what: str, value: Any, low: int, high: int) -> None:
    if not _whole(value, low, high):
        raise RecordError(f"{what} of {name!r} must be a whole number from {low} to {high}, got {_short(value)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
