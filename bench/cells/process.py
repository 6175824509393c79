"""Which process is this, and is that one certainly gone? Imports no torch."""

from __future__ import annotations

import os
import socket
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Identity:
    """An identity tells a process apart from a later one with the same number.

    Attributes:
        host: name of the machine, for people.
        pid: process number in its own namespace.
        started: its start in clock ticks since boot, 0 where the system does not say.
        boot: id of the machine's present boot, empty where the system does not say.
        namespace: id of the process namespace, empty where the system does not say.
        job: number of the cluster's job it belongs to, or empty.
        attempt: how often that job had been started before.
    """

    host: str
    pid: int
    started: int = 0
    boot: str = ""
    namespace: str = ""
    job: str = ""
    attempt: int = 0

    @classmethod
    def parse(cls, raw: Any) -> Identity | None:
        """Return the process of a lease's parsed JSON; None for anything else."""
        known = {field.name: type(field.default) for field in fields(cls) if field.default is not MISSING}
        types = {"host": str, "pid": int, **known}
        if not isinstance(raw, dict) or any(type(raw.get(name)) is not kind for name, kind in types.items()):
            return None
        return cls(**{name: raw[name] for name in types})


@lru_cache(maxsize=1)
def _machine() -> tuple[str, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot, os.readlink("/proc/self/ns/pid")
    except OSError:
        return "", ""


def _started(pid: int) -> int | None:
    """Start time of a process that runs; None where there is none or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def current_process() -> Identity:
    """Return this process."""
    boot, namespace = _machine()
    started = _started(os.getpid()) or 0
    job, attempt = _cluster_job()
    return Identity(socket.gethostname(), os.getpid(), started, boot, namespace=namespace, job=job, attempt=attempt)


def _cluster_job() -> tuple[str, int]:
    return os.environ.get("SLURM_JOB_ID", ""), int(os.environ.get("SLURM_RESTART_COUNT", "0"))


def is_dead(identity: Identity) -> bool:
    """Return True only where this machine can know that a process is gone.

    That is: same boot, same namespace, and no such process with that start time; or an earlier attempt of the cluster
    job this process belongs to, of which one runs at a time.
    """
    job, attempt = _cluster_job()
    if job and identity.job == job and identity.attempt < attempt:
        return True
    boot, namespace = _machine()
    if not boot or (identity.boot, identity.namespace) != (boot, namespace):
        return False
    return _started(identity.pid) != identity.started
