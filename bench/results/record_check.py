"""What a record must hold beside values of the right types, so that everybody who reads it counts it alike.

Imports no torch.
"""

from __future__ import annotations

from typing import Any

from ...core.errors import RecordError
from .folder import check_key
from .roles import ROLES


def check_content(record: Any, name: str, key: str | None) -> None:
    """Raise RecordError where what a record holds cannot be used, though its types are right.

    Args:
        record: it, or its `quantdg.bench.results.codec.form`.
        name: goes into the message.
        key: the record must have this one; None for any.
    """
    check_key(record.key, name)
    if key is not None and record.key != key:
        raise RecordError(f"{name} must be the record of {key}, it is that of {record.key}; run the cell again")
    if record.sizes is not None and record.sizes.path not in ("", f"models/{record.key}.safetensors"):
        raise RecordError(
            f"{name} must have its model at models/{record.key}.safetensors, got {record.sizes.path[:80]!r}"
        )
    if record.log not in ("", f"log/{record.key}.txt"):
        raise RecordError(f"{name} must have its log at log/{record.key}.txt, got {record.log[:80]!r}")
    if record.role and record.role not in ROLES:
        raise RecordError(f"role of {name} must be one of {', '.join(ROLES)}, got {record.role!r}; run the cell again")
    if record.status == "done" and not record.rows:
        raise RecordError(f"{name} is done and must have a row, but has none; run the cell again")
    for rule, row in record.rows.items():
        if not 0 <= row.target_in <= 1:
            raise RecordError(
                f"target_in of {name} must be from 0 to 1, got {row.target_in!r} in row {rule!r}; run it again"
            )
