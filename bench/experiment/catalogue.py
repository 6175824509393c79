"""What there is to choose from, and where a name leads."""

from __future__ import annotations

from ...core.errors import ConfigError, MissingPackageError, QuantDGError, one_line
from ...quantizers.base import Quantizer
from .component import import_object
from .load import GROUPS, choices, hydra
from .offers import find_offer, offers


def text() -> str:
    """List all groups and choices; quantizers with their reference and, where they cannot run, the pip line."""
    lines = []
    with hydra():
        for group in GROUPS:
            lines.append(f"{group}:")
            for name in choices(group):
                note = _quantizer_note(name) if group == "quantizer" else ""
                lines.append(f"  {name:20} {note}".rstrip())
    return "\n".join(lines)


def _quantizer_note(name: str) -> str:
    try:
        kind = import_object(find_offer("quantizer", name).target)
    except MissingPackageError as error:
        return f"unavailable: {error}"
    except QuantDGError as error:
        return f"broken: {error}"
    try:
        missing = kind.missing()
        return f"unavailable: {missing}" if missing else str(kind.reference)
    except Exception as error:  # noqa: BLE001 - a class of another package may do anything
        return f"broken: {one_line(error)}"


def find_quantizer(quantizer: str) -> type[Quantizer]:
    """Find the class of an installed quantizer, or of PACKAGE.MODULE:CLASS. ConfigError for anything else."""
    if ":" in quantizer:
        kind = import_object(quantizer.replace(":", "."))
    else:
        known = offers("quantizer")
        if quantizer not in known:
            raise ConfigError(f"write PACKAGE.MODULE:CLASS or one of {', '.join(sorted(known))}, got {quantizer!r}")
        kind = import_object(known[quantizer].target)
    if not (isinstance(kind, type) and issubclass(kind, Quantizer)):
        raise ConfigError(f"{quantizer} must be a subclass of quantdg.quantizers.Quantizer, got {kind!r}")
    return kind
