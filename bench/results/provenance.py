"""Provenance: what ran, where, on which code."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("quantdg", "torchvision", "numpy", "numba", "scikit-learn", "nni", "safetensors", "hydra-core")


@lru_cache
def versions() -> dict[str, str]:
    """Return the version of Python and of each package that is installed; torch's names its build."""
    out = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**out, "torch": torch.__version__}


def _cpu() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {"cpu": platform.processor() or "unknown", "cpu_flags": ""}
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in pairs}
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "avx512_bf16")
    flags = [f for f in wanted if f in fields.get("flags", "").split()]
    return {"cpu": fields.get("model name", "unknown"), "cpu_flags": " ".join(flags)}


@lru_cache
def machine(device: str = "cpu") -> dict[str, Any]:
    """Return processor, its integer instruction sets, cores, system and the accelerator in use, but no host name."""
    out: dict[str, Any] = {**_cpu(), "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}
    out["device"] = torch.cuda.get_device_name() if device.startswith("cuda") else device
    return out


@lru_cache
def git_state() -> dict[str, Any]:
    """Return commit and whether the tree had changes, of the checkout this code runs from; empty outside of one."""
    root = Path(__file__).resolve().parents[2]

    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    if not (root / ".git").exists():
        return {}
    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def provenance(device: str, threads: int) -> dict[str, Any]:
    """Return versions, machine, code and threads together, for a record."""
    return {
        "versions": versions(),
        "machine": machine(device),
        "threads": threads,
        "git": git_state(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
