"""Ray: tasks on a cluster that runs already, found by its address and entered with its token.

Never starts a Ray of its own: that one would listen on every network interface.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ...core.errors import ConfigError, MissingPackageError
from ..experiment.engine_options import RayOptions
from ..experiment.grid import Cell, Paths
from ..experiment.launcher import Launcher
from ..results.store import RunStore
from .cluster import Portion, absolute, follow, missing, portions, run_portion


def _ray() -> Any:
    try:
        return import_module("ray")
    except ImportError as error:
        raise MissingPackageError("launcher=ray needs ray; pip install 'quantdg[ray]'") from error


def address_of(options: RayOptions) -> str:
    """Return the address of the cluster; ConfigError where there is none, or no token to enter it with."""
    address = options.address or os.environ.get("RAY_ADDRESS")
    if not address:
        raise ConfigError("launcher=ray needs a cluster that runs; write launcher.options.address=HOST:PORT")
    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise ConfigError("launcher=ray needs token authentication; set RAY_AUTH_MODE=token here and on every node")
    return address


def _enter(ray: Any, address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"launcher=ray cannot enter the cluster at {address} ({reason}); check the address, and that "
            "RAY_AUTH_TOKEN_PATH names the token of the cluster"
        ) from error


def run_on_ray(
    cells: list[Cell], store: RunStore, paths: Paths, launcher: Launcher, say: Callable[[str], None]
) -> bool:
    """Run cells as tasks and follow them; they end with this process, a further run goes on from their snapshots."""
    ray, options = _ray(), RayOptions(**launcher.options)
    paths = absolute(paths)
    store = RunStore(paths.out)
    _enter(ray, address_of(options))
    remote = ray.remote(
        num_cpus=launcher.threads,
        num_gpus=options.gpus,
        memory=int(launcher.memory_gb * 2**30),
        max_retries=options.retries,
        max_calls=1,
    )(_task)
    running: list[Any] = []

    def submit(some: list[Cell]) -> None:
        parts = portions(some, options.cells_per_job)
        running.extend(remote.remote(part, store, paths, launcher) for part in parts)
        say(f"{len(parts)} tasks submitted")

    def at_work() -> bool | None:
        if running:
            done, rest = ray.wait(running, num_returns=len(running), timeout=0)
            for task in done:
                try:
                    ray.get(task)
                except ray.exceptions.RayError as error:
                    say(f"a task ended early: {type(error).__name__}")
            running[:] = rest
        return bool(running)

    try:
        submit(missing(cells, store))
        follow(cells, store, launcher, submit, at_work=at_work, say=say, poll_seconds=options.poll_seconds)
    finally:
        ray.shutdown()
    return True


def _task(cells: Portion, store: RunStore, paths: Paths, launcher: Launcher) -> int:
    return run_portion(cells, store, paths, launcher)
