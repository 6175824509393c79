"""How strong the shift of a synthetic data set is: 1 as it is described, towards 0 less and less, above 1 more."""

from __future__ import annotations

from ..core.errors import ConfigError


def check_severity(severity: float, most: float) -> None:
    """Raise ConfigError unless 0 < severity <= most."""
    if not 0 < severity <= most:
        raise ConfigError(
            f"dataset.severity lies above 0 and is at most {most:g} here, got {severity:g}; write 1 for the shift as described"
        )
