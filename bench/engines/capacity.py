"""How many processes this machine has room for."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import ConfigError
from ...core.machine import usable_cores
from ..experiment.launcher import Launcher

_CGROUP = Path("/sys/fs/cgroup")


def jobs_of(launcher: Launcher) -> int:
    """Return how many processes run at a time: as asked, else as cores (or GPUs) and free memory allow, at least 1."""
    if launcher.jobs is not None:
        return launcher.jobs
    free = free_gb()
    fitting = int(free / launcher.memory_gb) if free is not None else usable_cores()
    return max(1, min(gpus() if launcher.device == "cuda" else usable_cores() // launcher.threads, fitting))


def device_of(launcher: Launcher, slot: int) -> str:
    """Return the device of the process in this slot: with ``cuda`` and several GPUs, they take turns."""
    return f"cuda:{slot % gpus()}" if launcher.device == "cuda" and gpus() > 1 else launcher.device


def check_device(launcher: Launcher) -> None:
    """Raise ConfigError where this machine lacks the GPU that is asked for."""
    number = int(launcher.device.partition(":")[2] or 0)
    if launcher.device != "cpu" and number >= gpus():
        raise ConfigError(
            f"launcher.device={launcher.device} needs {number + 1} GPUs that torch can use, there are {gpus()}; write "
            "launcher.device=cpu, or install the torch build that fits the driver"
        )


def gpus() -> int:
    """Count the GPUs this process may use; counting leaves them untouched."""
    import torch  # noqa: PLC0415 - a plan of another device needs none

    return torch.cuda.device_count()


def free_gb() -> float | None:
    """Return the memory that processes may still take, by system and control group; None where neither says."""
    found = [_available(), _group()]
    return min((gb for gb in found if gb is not None), default=None)


def _available() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 2**20 for line in lines if line.startswith("MemAvailable:")), None)


def _group() -> float | None:
    try:
        limit, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return (int(limit) - int(used)) / 2**30
    except (OSError, ValueError):  # no such limit
        return None
