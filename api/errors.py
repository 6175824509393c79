"""The exception tree, drawn in ``quantdg.core.errors``; everything QuantDG raises on purpose is below `QuantDGError`."""

from quantdg.core.errors import (
    ConfigError,
    DataError,
    DivergedError,
    MeasurementError,
    MissingPackageError,
    NoMatchError,
    PackedModelError,
    QuantDGError,
    QuantizerError,
    RecordError,
    UnknownNameError,
)

__all__ = [
    "ConfigError",
    "DataError",
    "DivergedError",
    "MeasurementError",
    "MissingPackageError",
    "NoMatchError",
    "PackedModelError",
    "QuantDGError",
    "QuantizerError",
    "RecordError",
    "UnknownNameError",
]
