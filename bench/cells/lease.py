"""Who may work on what: files that are taken once, kept by a heartbeat, and fenced by a generation number.

A lease NAME is the file NAME.lease.N. It appears with its whole content by a hard link, so that one taker wins.
Its holder touches it; whoever waits watches the touches by its own monotonic clock, so that the clocks of two
machines are never compared. A lease that stands still is taken over by linking generation N + 1, never by removing
N: the old holder, should it wake up, finds N + 1 or another file in N's place and writes nothing more.

This is code of this project because filelock lacks takeover, heartbeat and fencing.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import QuantDGError
from ..results.files import StorageError
from .lease_file import MOST, Holder, free_generation, generation_of, generations, lease_path, name_of, read_holder
from .process import current_process, is_dead

if TYPE_CHECKING:
    from typing_extensions import Self


class LeaseLostError(QuantDGError):
    """Another process has taken over; whatever this one was doing must not be written."""


class Lease:
    """A lease is held by this process; a thread touches it until `close`.

    Args:
        path: the file, already there.
        generation: its number.
        beat: seconds between two touches.
    """

    def __init__(self, path: Path, generation: int, beat: float) -> None:
        self.path, self.generation = path, generation
        self._file = os.open(path, os.O_RDWR)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._touch, args=(beat,), daemon=True)
        self._thread.start()

    def _touch(self, beat: float) -> None:
        while not self._end.wait(beat):
            with contextlib.suppress(OSError):
                os.utime(self._file)  # by descriptor: after a takeover it touches nobody else's file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Give it back; a write that failed because somebody took over and tidied up is no fault of the disk."""
        try:
            if isinstance(error, StorageError):
                self.check()
        finally:
            self.close()

    def check(self) -> None:
        """Raise LeaseLostError unless this lease still counts: the fence, to be called before each write."""
        try:
            mine = os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except OSError:
            mine = False
        higher = (number > self.generation for number, _ in generations(self.path.parent, name_of(self.path)))
        if not mine or any(higher):
            raise LeaseLostError(f"the lease {self.path.name} was taken over, its holder stood still for too long")

    def close(self) -> None:
        """Give the lease back; abandoned generations below it go first, so that none outlives a live one."""
        known = generations(self.path.parent, name_of(self.path))
        self._close([path for number, path in known if number < self.generation])

    def withdraw(self) -> None:
        """Give the lease back and touch no other: it was taken in a race."""
        self._close(())

    def _close(self, older: Iterable[Path]) -> None:
        self._end.set()
        self._thread.join()
        with contextlib.suppress(OSError, LeaseLostError):
            self.check()
            for path in older:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            os.unlink(self.path)
        os.close(self._file)


def _create_slowly(path: Path, text: str) -> bool:
    """Without hard links: also one winner, but others may see the file before its content; they then wait."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return True


class Leases:
    """The leases of one folder are seen through this by one observer.

    Args:
        folder: where the files are; made at the first `acquire`.
        patience: seconds without a touch after which a lease counts as abandoned; touched six times as often.
    """

    def __init__(self, folder: Path, patience: float = 60.0) -> None:
        self.folder, self.patience = folder, patience
        self._seen: dict[str, tuple[tuple[int, int, int], float]] = {}

    def acquire(self, name: str) -> Lease | Holder:
        """Take a free or abandoned lease, else say who has it; StorageError where the folder cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while True:
                holder = self.holder(name)
                if holder is not None and not self.abandoned(holder):
                    return holder
                lease = self._take(name, holder)
                if lease is not None:
                    return lease
        except OSError as error:
            raise StorageError.of(self.folder, error) from error

    def _take(self, name: str, old: Holder | None) -> Lease | None:
        generation = free_generation(self.folder, name, old.generation + 1 if old else 1)
        if old is not None and generation > MOST:  # no process made it: begin anew
            lease_path(self.folder, name, old.generation).unlink(missing_ok=True)
            return None
        path = lease_path(self.folder, name, generation)
        if not self._create(path, json.dumps({"owner": uuid.uuid4().hex, **asdict(current_process())})):
            return None
        try:
            lease = Lease(path, generation, self.patience / 6)
        except FileNotFoundError:  # tidied away by a holder that this look at the folder has missed
            return None
        with contextlib.suppress(LeaseLostError):
            lease.check()
            if old is None or self._same(old):
                return lease
        lease.withdraw()
        return None

    def _create(self, path: Path, text: str) -> bool:
        draft = self.folder / f".{path.name}.{uuid.uuid4().hex}.tmp"
        draft.write_text(text)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP):
                raise
            return _create_slowly(path, text)
        finally:
            draft.unlink()
        return True

    def _same(self, old: Holder) -> bool:
        """Whether the lease that was taken over is still the one that stood still."""
        now = read_holder(lease_path(self.folder, old.name, old.generation))
        return now is not None and (now.owner, now.touched) == (old.owner, old.touched)

    def holder(self, name: str) -> Holder | None:
        """Return the newest holder of a lease, alive or not."""
        return self.newest(f"{name}.lease.*").get(name)

    def newest(self, pattern: str = "*.lease.*") -> dict[str, Holder]:
        """Return the newest holder of each lease by its name, alive or not."""
        return {holder.name: holder for holder in sorted(self._all(pattern), key=lambda h: h.generation)}

    def _all(self, pattern: str) -> Iterator[Holder]:
        for path in self.folder.glob(pattern):
            if generation_of(path) and (holder := read_holder(path)) is not None:
                yield holder

    def abandoned(self, holder: Holder) -> bool:
        """Return whether its process is certainly dead, or has not touched it for ``patience`` seconds."""
        if holder.who is not None and is_dead(holder.who):
            return True
        now = time.monotonic()
        touched, since = self._seen.get(holder.name, (None, now))
        if touched != holder.touched:
            self._seen[holder.name] = (holder.touched, now)
            return False
        return now - since > self.patience

    def mark_abandoned(self, holder: Holder) -> None:
        """Believe another observer of this machine that a lease is abandoned, unless it has been touched since."""
        self._seen[holder.name] = holder.touched, -math.inf

    def held(self, name: str) -> Holder | None:
        """Return who works on ``name`` at present, or None."""
        holder = self.holder(name)
        return None if holder is None or self.abandoned(holder) else holder
