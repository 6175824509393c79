"""The options that a part is called with, in one form: to write down a default is to leave it out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...core.errors import QuantDGError
from ...core.numbers import canonical
from .component import import_object
from .offers import own_options
from .signature import free_parameters


def without_defaults(group: str, choice: str, target: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options without those that are the default of the part's class; both ways of writing are one identity.

    What its configuration file lists stays, as it always did.
    """
    listed = own_options(group, choice)
    further = [key for key in options if key not in listed]
    if not further:
        return dict(options)
    try:
        known = free_parameters(group, import_object(target))
    except QuantDGError:  # whoever needs the part will say why it cannot be imported
        return dict(options)
    same = {key for key in further if key in known and _text(options[key]) == _text(known[key].default)}
    return {key: value for key, value in options.items() if key not in same}


def _text(value: Any) -> str:
    """Tells true from 1, and not a list from a tuple."""
    return json.dumps(canonical(value), sort_keys=True, default=repr)
