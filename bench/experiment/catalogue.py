"""What there is to choose from, and where a name leads. Imports no torch until a class is asked for."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from ...core.errors import ConfigError, MissingPackageError, QuantDGError, UnknownNameError, one_line
from ...quantizers.packages import missing_of, required_by
from .component import KINDS, import_object, summary_of
from .offers import COMPONENTS, GROUPS, find_offer, leading_comment, offers, own_files
from .words import choice_names

if TYPE_CHECKING:
    from ...quantizers.base import Quantizer

_WIDTH = 110


def text() -> str:
    """Name all choices by group, and below them the quantizers that cannot be used here, each with its reason."""
    lines = []
    names = {group: choice_names(group) for group in GROUPS}
    for group, known in names.items():
        wrapped = textwrap.wrap(", ".join(known), _WIDTH, break_on_hyphens=False, break_long_words=False)
        lines.append(textwrap.indent("\n".join(wrapped), " " * 14).replace(" " * 14, f"{group + ':':14}", 1))
    unusable = [(name, reason) for name in names["quantizer"] if (reason := unusable_reason(name))]
    lines += ["", "cannot be used here:", *(f"  {name:24} {reason}" for name, reason in unusable)] if unusable else []
    return "\n".join([*lines, "", "quantdg list GROUP says what each is; quantdg show GROUP NAME lists its settings."])


def group_text(group: str) -> str:
    """Name the choices of one group, each with its paper or with the first line of what it says of itself."""
    return "\n".join(f"  {name:24} {_said_of(group, name)}".rstrip() for name in choice_names(group))


def group_named(word: str) -> str:
    """Find a group by its name or its plural; UnknownNameError for anything else."""
    for group in GROUPS:
        if word in {group, f"{group}s"}:
            return group
    raise UnknownNameError("group", word, GROUPS)


def unusable_reason(name: str) -> str:
    """Say why a quantizer cannot be used here, or return an empty string."""
    try:
        offer = offers("quantizer").get(name)
        missing = find_quantizer(name).missing() if not offer or offer.origin else _missing_of_ours(offer.target)
    except MissingPackageError as error:
        return f"unavailable: {error}"
    except QuantDGError as error:
        return f"broken: {error}"
    except Exception as error:  # noqa: BLE001 - a class of another package may do anything
        return f"broken: {one_line(error)}"
    return f"unavailable: {missing}" if missing else ""


def _missing_of_ours(target: str) -> str:
    """The answer of the class, without importing it."""
    return missing_of(required_by(target.rpartition(".")[2]))


def _said_of(group: str, name: str) -> str:
    if (group == "dataset" or group not in COMPONENTS) and name in own_files(group):
        return leading_comment(own_files(group)[name])
    try:
        part: Any = import_object(find_offer(group, name).target)
    except QuantDGError as error:
        return f"unavailable: {error}" if isinstance(error, MissingPackageError) else f"broken: {error}"
    return str(getattr(part, "reference", "") or summary_of(part))


def find_quantizer(quantizer: str) -> type[Quantizer]:
    """Find the class of an installed quantizer, or of PACKAGE.MODULE:CLASS. ConfigError for anything else."""
    if ":" in quantizer:
        kind = import_object(quantizer.replace(":", "."))
    else:
        known = offers("quantizer")
        if quantizer not in known:
            raise ConfigError(f"write PACKAGE.MODULE:CLASS or one of {', '.join(sorted(known))}, got {quantizer!r}")
        kind = import_object(known[quantizer].target)
    if not (isinstance(kind, type) and issubclass(kind, import_object(KINDS["quantizer"]))):
        raise ConfigError(f"{quantizer} must be a subclass of quantdg.quantizers.Quantizer, got {kind!r}")
    return kind
