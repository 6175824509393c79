"""Where jobs run and how patient the sweep is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from quantdg.bench.experiment import Launcher
from quantdg.core.errors import ConfigError

Engine = Literal["local", "slurm", "ray"]


@dataclass(frozen=True)
class SweepLauncher(Launcher):
    """Attributes beside those of `Launcher`:

    engine: ``local``, ``slurm`` or ``ray``; no part of any identity.
    checkpoint_seconds: a training is saved at most so often, at least 0.
    lease_seconds: a job that gave no sign for so long counts as dead, above 0; minutes on a network file system.
    memory_gb: of each process, above 0; how many processes fit is reckoned with it, and Slurm is asked for it.
    max_lost: how often a cell whose process died is tried again before it is recorded as failed.
    options: of the engine: for Slurm ``partition``, ``minutes``, ``parallel``, ``wait`` and more; for
        Ray ``address``.
    """

    engine: Engine = "local"
    checkpoint_seconds: float = 60.0
    lease_seconds: float = 60.0
    memory_gb: float = 1.0
    max_lost: int = 2
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.engine not in get_args(Engine):
            raise ConfigError(f"launcher.engine must be one of {get_args(Engine)}, got {self.engine!r}")
        if not self.memory_gb > 0:
            raise ConfigError(f"launcher.memory_gb must be above 0, got {self.memory_gb}; write 1")
        if self.checkpoint_seconds < 0 or not self.lease_seconds > 0 or self.max_lost < 0:
            raise ConfigError(
                "launcher.checkpoint_seconds and launcher.max_lost must be at least 0 and launcher.lease_seconds above "
                f"0, got {self.checkpoint_seconds}, {self.max_lost} and {self.lease_seconds}; write 60, 2 and 60"
            )

    @classmethod
    def of(cls, launcher: Launcher) -> SweepLauncher:
        """The same launcher, with the defaults of a sweep where it says nothing."""
        return launcher if isinstance(launcher, cls) else cls(**asdict(launcher))
