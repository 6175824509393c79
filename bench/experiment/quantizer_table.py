"""All quantizers that are installed as one table: what each is by its own words, and what it can by asking it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, get_args

from ...quantizers.base import Family, Quantizer
from ...quantizers.contract.facts import Facts, facts_of
from ...quantizers.spec import QuantSpec
from .catalogue import find_quantizer, unusable_reason
from .offers import find_offer, offers, own_files, read_settings

NONE = "-"
Asked = tuple[str, str, str, str, str]
_UNASKED: Asked = (NONE, NONE, NONE, NONE, NONE)
_SHORT = {"per_channel": "channel", "per_tensor": "tensor", "per_group": "group"}


class QuantizerRow(NamedTuple):
    """A row is one quantizer; the fields' names are the head of the table."""

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


def quantizer_rows() -> list[QuantizerRow]:
    """Return a row for each installed quantizer, by family and name; one that cannot be used says why as its meaning."""
    families = get_args(Family)
    rows = [_row(name) for name in offers("quantizer")]
    return sorted(rows, key=lambda row: (families.index(row.family) if row.family in families else 99, row.quantizer))


def as_markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write rows as a Markdown table, one line each, the first cell as code."""
    lines = [head, ["---"] * len(head), *([f"`{row[0]}`", *map(_escaped, row[1:])] for row in rows)]
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
    file = own_files("quantizer").get(name)
    settings = read_settings(file) if file else {}
    options = {key: value for key, value in settings.items() if key not in {"_target_", "spec"}}

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
