"""How many processes this machine has room for."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import ConfigError
from ...core.machine import usable_cores
from ..experiment.launcher import Launcher

HEADROOM = 1.5
"""A GPU is shared as if every cell took so much more than the first: step rules and algorithms differ in what they keep."""
CONTEXT = 2**30
"""Bytes that a process takes of a GPU beside its tensors, generously."""
_CGROUP = Path("/sys/fs/cgroup")


def jobs_of(launcher: Launcher) -> int:
    """Return how many processes run at a time: as asked for each device, else one a GPU, or as cores and memory allow."""
    devices = _devices(launcher)
    if launcher.jobs is not None:
        return launcher.jobs * devices
    return max(1, min(devices if launcher.device != "cpu" else _cores(launcher), _fitting(launcher)))


def jobs_with(launcher: Launcher, room: int) -> int:
    """Return the same once it is known that each GPU has room for so many processes; never fewer than `jobs_of`."""
    if launcher.jobs is not None or launcher.device == "cpu":
        return jobs_of(launcher)
    return max(jobs_of(launcher), min(room * _devices(launcher), _cores(launcher), _fitting(launcher)))


def crowding(launcher: Launcher, cells: int) -> str:
    """Say in a line that cells at a time take more cores than this machine gives; empty where they do not, and on GPUs."""
    if launcher.engine != "local" or launcher.device != "cpu":
        return ""
    at_once, processes, threads = max(1, min(jobs_of(launcher), cells)), launcher.processes, launcher.threads
    taken, there, fitting = at_once * processes * threads, usable_cores(), _cores(launcher)
    if taken <= there:
        return ""
    advice = f"launcher.jobs={fitting} fits" if fitting else "one cell alone takes more"
    return (
        f"cells at a time ({at_once}) x protocol.processes ({processes}) x launcher.threads ({threads}) are {taken} cores, this "
        f"machine gives {there}; {advice}"
    )


def _devices(launcher: Launcher) -> int:
    return max(1, gpus() // launcher.processes) if launcher.device == "cuda" else 1


def _cores(launcher: Launcher) -> int:
    return usable_cores() // (launcher.threads * launcher.processes)


def _fitting(launcher: Launcher) -> int:
    free = free_gb()
    return int(free / (launcher.memory_gb * launcher.processes)) if free is not None else usable_cores()


def room_beside(peak: int, free: int) -> int:
    """Return how many processes a GPU has room for, this one included.

    Args:
        peak: bytes that this one's tensors took at most.
        free: bytes that are free while it holds them.
    """
    return 1 + max(0, int(free / (HEADROOM * peak + CONTEXT)))


def room_on(device: str) -> int:
    """Measure it for the process that calls, after its first cell."""
    import torch  # noqa: PLC0415 - as in `gpus`

    return room_beside(torch.cuda.max_memory_reserved(device), torch.cuda.mem_get_info(device)[0])


def device_of(launcher: Launcher, slot: int) -> str:
    """Return the device of the process in this slot, or of the first of its cell: with several GPUs, they take turns."""
    if launcher.device != "cuda" or gpus() == 1:
        return launcher.device
    return f"cuda:{slot % _devices(launcher) * launcher.processes}"


def check_device(launcher: Launcher) -> None:
    """Raise ConfigError where this machine lacks the GPU that is asked for."""
    number = int(launcher.device.partition(":")[2] or 0)
    needed = number + launcher.processes
    if launcher.device != "cpu" and needed > gpus():
        several = f" with protocol.processes={launcher.processes}" if launcher.processes > 1 else ""
        raise ConfigError(
            f"launcher.device={launcher.device}{several} needs {needed} GPUs that torch can use, there are {gpus()}; write "
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
