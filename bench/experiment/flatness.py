"""What to measure and how finely; `quick` and `full` are files of the configuration group ``flatness``."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import ConfigError
from ...core.numbers import check_numbers
from ...core.repeats import refuse_repeats


@dataclass(frozen=True)
class FlatnessSettings:
    """These are the settings of the configuration group ``flatness``; no cell's identity has them.

    Attributes:
        name: as in the configuration.
        radii: of local flatness, as root-mean-square displacement of a parameter: gamma = radius * sqrt(n). SWAD's
            gamma = 60 on the 23.5 million parameters of ResNet-50 is radius 0.0124.
        directions: of local flatness, at least 2.
        latent: whether local flatness is also measured on the latent weights, with the quantizer in place.
        examples: images of each domain, at least 1; fewer where the domain has fewer.
        probes: Hutchinson vectors, at least 2, or 0 for no curvature at all.
        iterations: of the power iteration, at most.
        tolerance: relative change of the eigenvalue below which the power iteration stops.
        rhos: SAM radii, Euclidean length in parameter space; empty for none.
        tangent_examples: images for the log-determinant of the tangent kernel; 0 for none.
        chunk: directions at once; memory grows with it. None: 16 on a GPU, 1 on a CPU, where convolutions with a
            weight for each direction are slower than one after another.
    """

    name: str
    radii: tuple[float, ...]
    directions: int
    latent: bool
    examples: int
    probes: int
    iterations: int
    tolerance: float
    rhos: tuple[float, ...]
    tangent_examples: int
    chunk: int | None = None

    def __post_init__(self) -> None:
        for key in ("radii", "rhos"):
            values = tuple(getattr(self, key))
            object.__setattr__(self, key, values)
            if not all(v > 0 for v in values):
                raise ConfigError(
                    f"flatness.{key} must be above 0, got {list(values)}; write for example 'flatness.{key}=[0.01,0.02]'"
                )
            refuse_repeats(f"flatness.{key}", values)
            check_numbers(f"flatness.{key}", values)
        if not self.radii:
            raise ConfigError("flatness.radii must not be empty; write flatness=none to measure nothing")
        for key, least in (("directions", 2), ("examples", 1), ("iterations", 1), ("tangent_examples", 0)):
            if getattr(self, key) < least:
                raise ConfigError(f"flatness.{key} must be at least {least}, got {getattr(self, key)}")
        if self.probes == 1 or self.probes < 0:
            raise ConfigError(f"flatness.probes must be 0 or at least 2, got {self.probes}; write flatness.probes=16")
        check_numbers("flatness.tolerance", self.tolerance)
        if not self.tolerance > 0:
            raise ConfigError(f"flatness.tolerance must be above 0, got {self.tolerance}; write for example 0.01")
        if self.chunk is not None and self.chunk < 1:
            raise ConfigError(f"flatness.chunk must be at least 1, got {self.chunk}; write flatness.chunk=null")
