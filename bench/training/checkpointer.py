"""When a training is saved on its way, and when it has to end early."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ...core.errors import QuantDGError, RecordError
from ..results.files import remove
from .checkpoint import Snapshot, load_snapshot, save_snapshot


class StoppedError(QuantDGError):
    """The training was asked to stop; it has been saved and goes on from there."""


class Checkpointer:
    """It saves a training at most every ``seconds``, and once more when it is asked to stop.

    Args:
        path: of the snapshot; None keeps nothing.
        seconds: between two snapshots, at least 0 (then after every step).
        fence: called before each write; raises where another process has taken over.
        stop: whether the training is to end after the present step.
        tell: told of a file that is not what it should be, before it is removed.
    """

    def __init__(
        self,
        path: Path | None = None,
        seconds: float = 60.0,
        fence: Callable[[], None] = lambda: None,
        stop: Callable[[], bool] = lambda: False,
        *,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self.seconds, self.fence, self.stop, self.tell = path, seconds, fence, stop, tell
        self._saved = time.monotonic()

    def load(self, device: str) -> Snapshot | None:
        """Return where an earlier attempt got to; None where there is nothing usable. A wrong file is told and removed."""
        if self.path is None:
            return None
        try:
            return load_snapshot(self.path, device)
        except FileNotFoundError:
            return None
        except RecordError as error:
            self.tell(f"{error}; trained again from the start")
            remove(self.path)
            return None

    def after_step(self, take: Callable[[], Snapshot]) -> None:
        """Save between two steps where a snapshot is due; only then is ``take`` called. Raises StoppedError."""
        stopping = self.stop()
        if self.path is not None and (stopping or time.monotonic() - self._saved >= self.seconds):
            self.fence()
            save_snapshot(self.path, take())
            self._saved = time.monotonic()
        if stopping:
            raise StoppedError("stopped; the same command goes on from here")

    def delete(self) -> None:
        """Forget the snapshot: its training has been stored."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
