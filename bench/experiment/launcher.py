"""Where cells run and how patient the sweep is; no part of any identity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.errors import ConfigError, UnknownNameError
from .engine_options import OPTIONS
from .offers import find_offer
from .type_check import check_settings, check_types, hints_of

MOST_THREADS = 1024


@dataclass(frozen=True)
class Launcher:
    """These are the settings of the configuration group ``launcher``.

    Attributes:
        jobs: processes at a time, on each GPU where ``device`` is ``cuda``; 0 runs in this process; None: as many as cores and
            memory allow, on a GPU as many as fit beside each other by what the first cell took.
        threads: of each process, 1 to 1024. Results are bit-identical for a fixed number only.
        device: ``cpu``, ``cuda`` (all GPUs in turn) or one of them, ``cuda:1``.
        engine: ``local``, ``slurm``, ``ray``, or the name of another package's.
        checkpoint_seconds: a training is saved at most so often, at least 0.
        lease_seconds: a job that gave no sign for so long counts as dead, above 0; minutes on a network file system.
        memory_gb: of each process, above 0; how many processes fit is reckoned with it, and Slurm is asked for it.
        max_lost: how often a cell whose process died is tried again before it is recorded as failed.
        processes: of one cell; it is set from `Protocol.processes`, since it is a part of the identity.
        options: of the engine, by the names in `SlurmOptions` or `RayOptions`; the local engine has none.
    """

    jobs: int | None = None
    threads: int = 1
    device: str = "cpu"
    engine: str = "local"
    checkpoint_seconds: float = 60.0
    lease_seconds: float = 60.0
    memory_gb: float = 1.0
    max_lost: int = 2
    processes: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_types("launcher", hints_of(Launcher), vars(self))
        find_offer("launcher", self.engine)
        if self.engine in OPTIONS:
            check_settings("launcher.options", OPTIONS[self.engine], self.options)
            OPTIONS[self.engine](**self.options)
        if self.engine == "local":
            for name in self.options:
                raise UnknownNameError("setting of launcher.options with launcher=local", name, ())
        self._at_least("threads", 1, example=1)
        if self.threads > MOST_THREADS:
            raise ConfigError(
                f"launcher.threads must be at most {MOST_THREADS}, got {self.threads}; write launcher.threads=1"
            )
        if self.jobs is not None:
            self._at_least("jobs", 0, example=1)
        self._at_least("checkpoint_seconds", 0, example=60)
        self._at_least("max_lost", 0, example=2)
        self._above_zero("lease_seconds", example=60)
        self._above_zero("memory_gb", example=1)
        if self.processes > 1 and self.engine != "local":
            raise ConfigError(
                f"protocol.processes={self.processes} needs launcher=local, got launcher={self.engine}; write protocol.processes=1"
            )
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise ConfigError(f"launcher.device must be cpu, cuda or cuda:NUMBER, got {self.device!r}; write cpu")

    def _at_least(self, name: str, least: int, *, example: int) -> None:
        value = getattr(self, name)
        if not value >= least:
            raise ConfigError(f"launcher.{name} must be at least {least}, got {value}; write launcher.{name}={example}")

    def _above_zero(self, name: str, *, example: int) -> None:
        value = getattr(self, name)
        if not value > 0:
            raise ConfigError(f"launcher.{name} must be above 0, got {value}; write launcher.{name}={example}")
