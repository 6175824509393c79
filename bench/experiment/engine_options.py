"""``launcher.options`` of the engines beyond this machine, with their only defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.errors import ConfigError


@dataclass(frozen=True)
class _Options:
    cells_per_job: int | None = None
    poll_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.cells_per_job is not None:
            self._at_least("cells_per_job", 1)
        self._at_least("poll_seconds", 0)

    def _at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not value >= least:
            raise ConfigError(
                f"launcher.options.{name} must be at least {least}, got {value}; leave it out for the default"
            )


@dataclass(frozen=True)
class SlurmOptions(_Options):
    """These are the options of ``launcher=slurm``.

    Attributes:
        cells_per_job: cells in one job, at least 1; None: a whole group.
        poll_seconds: between two looks at the run folder, at least 0.
        partition: of sbatch; None: Slurm's default.
        minutes: time limit of a job, at least 1; a job that reaches it goes on in a new one.
        gpus: of each job; None: not asked for.
        parallel: jobs of the array at a time, at least 1.
        signal_seconds: how long before its time limit a job is told to save, at least 0.
        timeouts: how often a job that reached its time limit goes on in a new one, at least 0.
        wait: whether the command follows the cells to their end; it submits and exits otherwise.
        parameters: further options of sbatch, for example ``{"account": "NAME"}``.
    """

    partition: str | None = None
    minutes: int = 60
    gpus: int | None = None
    parallel: int = 256
    signal_seconds: int = 60
    timeouts: int = 100
    wait: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("minutes", 1), ("parallel", 1), ("signal_seconds", 0), ("timeouts", 0)):
            self._at_least(name, least)


@dataclass(frozen=True)
class RayOptions(_Options):
    """These are the options of ``launcher=ray``.

    Attributes:
        cells_per_job: cells in one task, at least 1; None: a whole group.
        poll_seconds: between two looks at the run folder, at least 0.
        address: HOST:PORT of a cluster that runs; None: the environment's RAY_ADDRESS.
        gpus: of each task; parts of one are allowed, at least 0.
        retries: how often Ray itself starts a task again whose worker died, at least 0.
    """

    poll_seconds: float = 2.0
    address: str | None = None
    gpus: float = 0
    retries: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("gpus", 0)
        self._at_least("retries", 0)


OPTIONS: dict[str, type[SlurmOptions | RayOptions]] = {"slurm": SlurmOptions, "ray": RayOptions}
"""The class of the options by the engine's name; the local engine has none."""
