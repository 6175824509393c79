"""The other processes of a cell, started by the one that holds its lease, and ended with it.

They get a cell or a group through a pipe, train it in step, and never touch the run folder. A pipe that closes ends them; one
of them that ends by itself ends the process that started it, whose cell is then lost and tried again, as any other.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from ..experiment.grid import Cell, Group, Paths
from ..experiment.launcher import Launcher
from ..training.ranks import GONE, PeerLostError

HOST = "127.0.0.1"
PATIENCE = timedelta(days=30)
"""Exchanges wait as long as all live: deaths are seen by pipes, and a breakpoint or a stopped machine is none."""
NOTICE_SECONDS = 5.0
"""For the training to see by itself that a process is gone, and leave its lease."""
LOST = 70
"""Exit status of a process whose cell is lost."""


@dataclass(frozen=True)
class Post:
    """A post says which of the processes one is.

    Attributes:
        rank: 0 is the process that holds the lease.
        count: of all processes.
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        threads: of each.
        port: where rank 0 is to be met.
        paths: where data and cache are.
    """

    rank: int
    count: int
    device: str
    threads: int
    port: int
    paths: Paths


def device_of_rank(device: str, rank: int) -> str:
    """Return the device of a process: on GPUs the one that comes so many after the first process's."""
    kind, _, number = device.partition(":")
    return device if kind == "cpu" or rank == 0 else f"{kind}:{int(number or 0) + rank}"


def meet(post: Post, store: Any = None) -> None:
    """Make torch's default process group; rank 0 brings the store."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    store = store or _store(post.port, post.count)
    backend = "gloo" if post.device == "cpu" else "cpu:gloo,cuda:nccl"
    if post.device != "cpu":
        torch.cuda.set_device(post.device if ":" in post.device else f"{post.device}:0")
    dist.init_process_group(backend, store=store, rank=post.rank, world_size=post.count, timeout=PATIENCE)


def _store(port: int, count: int, *, master: bool = False) -> Any:
    kind: Any = dist.TCPStore  # type: ignore[attr-defined]
    return kind(HOST, port, count, master, wait_for_workers=False, timeout=PATIENCE)


class Crew:
    """The processes beside this one, from `Crew` to `close`.

    Args:
        count: of all processes, this one included; at least 2.
        paths: where data and cache are.
        launcher: threads of each, and this one's device.
    """

    def __init__(self, count: int, paths: Paths, launcher: Launcher) -> None:
        self.count = count
        self._closing = threading.Event()
        store = _store(0, count, master=True)
        posts = [
            Post(rank, count, device_of_rank(launcher.device, rank), launcher.threads, store.port, paths=paths)
            for rank in range(count)
        ]
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            for post in posts[1:]:
                self._start(post)
            meet(posts[0], store)
        except BaseException:
            self.close()
            raise

    def _start(self, post: Post) -> None:
        command = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from {} import main; main()"
        place = f"{__package__}.follower"
        words = [sys.executable, "-c", command.format(place)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
        self.processes.append(process)
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()
        self._send(process, sys.path)
        self._send(process, post)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        if not self._closing.wait(NOTICE_SECONDS):
            os._exit(LOST)

    def _send(self, process: subprocess.Popen[bytes], message: Any) -> None:
        assert process.stdin is not None
        try:
            pickle.dump(message, process.stdin)
            process.stdin.flush()
        except OSError as error:
            raise PeerLostError(GONE) from error

    def begin(self, work: Cell | Group) -> None:
        """Let the others train a cell's branch or a group's float phase; this process is to do the same."""
        for process in self.processes:
            self._send(process, work)

    def close(self) -> None:
        """End the others, whatever they are doing."""
        self._closing.set()
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        if dist.is_initialized():
            dist.destroy_process_group()
