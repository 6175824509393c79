"""A process that trains along with the one that holds a cell's lease; see `crew`."""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from ..experiment.grid import Cell, Group
from ..training.branch import train_branch
from ..training.data import CellData
from ..training.float_phase import float_phase
from ..training.seeds import use_deterministic
from .crew import Post, meet
from .execute import open_data

GRACE_SECONDS = 30.0
"""For the first process, which most likely has the same error, to record it and end this one."""


class Follower:
    """It trains what it is told, in step with the others.

    Args:
        post: which of the processes it is.
    """

    def __init__(self, post: Post) -> None:
        self.post = post
        self._data: tuple[str, CellData] | None = None

    def train(self, work: Cell | Group) -> None:
        """Train a cell's branch or a group's float phase; nothing of it is kept."""
        data = self._open(work if isinstance(work, Group) else work.group)
        with data.ranks.joined():
            if isinstance(work, Group):
                float_phase(work, data, Path(os.devnull), _ignore)
            else:
                train_branch(work, data, data.ranks.from_first(dict), _ignore)

    def _open(self, group: Group) -> CellData:
        if self._data is None or self._data[0] != group.key:
            self._data = group.key, open_data(group, self.post.paths, self.post.device, rank=self.post.rank)
        return self._data[1]


def _ignore(_: object) -> None:
    pass


def _listen(inbox: queue.SimpleQueue[Any]) -> None:
    """Take messages in; the end of the pipe is the end of this process, at once."""
    while True:
        try:
            inbox.put(pickle.load(sys.stdin.buffer))
        except (EOFError, OSError):
            os._exit(0)


def main() -> None:
    """Run the process: its first message is its post, each further one a cell or a group."""
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(inbox,), daemon=True).start()
    post: Post = inbox.get()
    use_deterministic(post.threads)
    try:
        meet(post)
        follower = Follower(post)
        while True:
            follower.train(inbox.get())
    except Exception:  # noqa: BLE001 - whatever it is, the first process must hear of it
        threading.Event().wait(GRACE_SECONDS)
        traceback.print_exc()
        os._exit(1)
