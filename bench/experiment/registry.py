"""From the identity in a record to the installed part it names.

What a stored record names is looked up among what is installed and nowhere else, so that reading a record never imports
what somebody wrote into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.errors import RecordError
from .component import INLINE, Component
from .offers import ENTRY_POINTS, offers


def origin_of(group: str, choice: str, target: str) -> str:
    """Return where a configured part comes from, for its identity: empty for ours, else a package or `INLINE` path."""
    offer = offers(group).get(choice)
    return offer.origin if offer is not None and offer.target == target else INLINE + target


def installed(group: str, identity: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> Component:
    """Return the installed component that an identity in a record names.

    Args:
        group: of the configuration, for example ``model``.
        identity: as of `Component.identity`, read from a record.
        options: in place of the recorded ones.

    Raises:
        RecordError: no such part is installed here, or it is not the one that the record was made with.
    """
    choice, name, origin = str(identity["component"]), str(identity["name"]), str(identity.get("origin", ""))
    if origin.startswith(INLINE):
        raise RecordError(
            f"the {group} of a record must be an installed one, got {origin[len(INLINE) :]}, which was named on a command "
            f"line; give it an entry point in {ENTRY_POINTS[group]}, records import nothing"
        )
    offer = offers(group).get(choice)
    if offer is None or offer.origin != origin:
        here = "is not there" if offer is None else f"comes from {offer.origin or 'quantdg'}"
        raise RecordError(
            f"the {group} {choice!r} of a record must be the one it was made with, of {origin or 'quantdg'}; here it {here}, "
            "install that package"
        )
    chosen = identity["options"] if options is None else options
    return Component(name, offer.target, dict(chosen), choice=choice, origin=origin)
