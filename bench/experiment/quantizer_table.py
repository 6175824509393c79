"""All quantizers that are installed as one table: what each is by its own words, and what it can by asking it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

from ...core.threads import one_thread
from ...quantizers.base import Family, Quantizer
from ...quantizers.contract.facts import Facts, facts_of
from ...quantizers.spec import QuantSpec
from .catalogue import find_quantizer, unusable_reason
from .offers import find_offer, offers, own_settings

NONE = "-"
Asked = tuple[str, str, str, str, str]
_UNASKED: Asked = (NONE, NONE, NONE, NONE, NONE)
_SHORT = {"per_channel": "channel", "per_tensor": "tensor", "per_group": "group"}


class QuantizerRow(NamedTuple):
    """A row is one quantizer; the fields' names are the head of the table, `FIELDS` where nothing was measured."""

    quantizer: str
    family: str
    meaning: str
    bits: str
    scales: str
    inputs: str
    learns: str
    export: str
    package: str
    paper: str
    step_cost: str = NONE
    """Of a training step over float's, where it was measured."""


FIELDS = QuantizerRow._fields[:-1]


def quantizer_rows() -> list[QuantizerRow]:
    """Return a row for each installed quantizer, by family and name; one that cannot be used says why as its meaning."""
    families = get_args(Family)
    with one_thread():
        rows = [_row(name) for name in offers("quantizer")]
    return sorted(rows, key=lambda row: (families.index(row.family) if row.family in families else 99, row.quantizer))


def as_markdown(rows: Sequence[QuantizerRow], fields: Sequence[str]) -> str:
    """Write some fields of rows, the quantizer's name first, as a Markdown table, one line each."""
    cells = ([_escaped(getattr(row, field)) for field in fields] for row in rows)
    lines = [fields, ["---"] * len(fields), *([f"`{name}`", *more] for name, *more in cells)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def _row(name: str) -> QuantizerRow:
    offer = find_offer("quantizer", name)
    try:
        kind = find_quantizer(name)
    except Exception:  # noqa: BLE001 - its reason is asked for in the next line
        return QuantizerRow(name, "other", unusable_reason(name), *_UNASKED, offer.origin or NONE, NONE)
    package = offer.origin or ", ".join(kind.requires) or NONE
    reason = unusable_reason(name)
    asked = _UNASKED if reason else _asked(kind, name)
    return QuantizerRow(name, kind.family, reason or kind.meaning, *asked, package, kind.reference)


def _asked(kind: type[Quantizer], name: str) -> Asked:
    options = own_settings("quantizer", name)
    options.pop("spec", None)

    def make(spec: QuantSpec) -> Quantizer:
        return kind(spec=spec, seed=0, **options)

    facts = facts_of(make)
    return (
        _widths(facts),
        ", ".join(_SHORT.get(scales, scales) for scales in facts.granularities) or NONE,
        "yes" if facts.inputs else NONE,
        ", ".join(facts.learns) or NONE,
        facts.export,
    )


def _widths(facts: Facts) -> str:
    """The widths, ``2-8`` where none between the ends is missing."""
    bits = facts.bits
    if len(bits) > 1 and len(bits) == bits[-1] - bits[0] + 1:
        return f"{bits[0]}-{bits[-1]}"
    return ", ".join(map(str, bits)) or NONE
