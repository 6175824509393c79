"""Names of what can be a row of a run, for whoever only reads records. Imports no torch."""

from __future__ import annotations

from ..experiment.offers import offers


def installed_names(group: str) -> frozenset[str]:
    """Return the names that a group of the configuration offers, those of other packages too.

    Args:
        group: for example ``quantizer``, ``algorithm``, ``dataset`` or ``averaging``.
    """
    return frozenset(offers(group))
