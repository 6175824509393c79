"""What to measure when cells are deployed."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import ConfigError
from ...core.repeats import refuse_repeats
from .launcher import MOST_THREADS
from .offers import find_offer

CELLS = ("all", "representatives")


@dataclass(frozen=True)
class DeploySettings:
    """These are the settings of the configuration group ``deploy``.

    Attributes:
        runtimes: names of installed ones: ``openvino``, ``onnxruntime``, ``executorch``, or another package's.
        cells: ``all``, or ``representatives``: float and one for each quantizer and width with integers. Only
            these are timed in either case, since no latency depends on the values of weights.
        batches: images a call.
        threads: of the wall-time measurement, besides the one with a single thread; None: as many as cores.
        rounds: of the interleaving, at least 7.
    """

    runtimes: tuple[str, ...] = ("openvino",)
    cells: str = "all"
    batches: tuple[int, ...] = (1, 32)
    threads: int | None = None
    rounds: int = 20

    def __post_init__(self) -> None:
        object.__setattr__(self, "runtimes", tuple(self.runtimes))
        for runtime in self.runtimes or ("",):
            find_offer("runtime", runtime)
        refuse_repeats("deploy.runtimes", self.runtimes)
        if self.cells not in CELLS:
            raise ConfigError(f"deploy.cells must be one of {', '.join(CELLS)}, got {self.cells!r}")
        object.__setattr__(self, "batches", tuple(self.batches))
        if not self.batches or not all(isinstance(b, int) and b >= 1 for b in self.batches):
            raise ConfigError(
                f"deploy.batches must be numbers above 0, got {self.batches}; write 'deploy.batches=[1,32]'"
            )
        refuse_repeats("deploy.batches", self.batches)
        if self.rounds < 7 or (self.threads is not None and not 1 <= self.threads <= MOST_THREADS):
            raise ConfigError(
                f"deploy.rounds must be at least 7 and deploy.threads from 1 to {MOST_THREADS}, got {self.rounds} and "
                f"{self.threads}"
            )
