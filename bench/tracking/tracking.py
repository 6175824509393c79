"""Records handed to tracking tools: while a run goes, by a thread of the driver, and afterwards from the folder alone.

Training never waits for a tool and knows nothing of it. A tool that fails is told in a line and left out; what it missed is
handed over by ``quantdg track``.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from ...core.errors import QuantDGError, one_line
from ..results.store import RunStore
from .cells import tracked_cell
from .ledger import Ledger
from .tracker import Tracker, open_tracker

PATIENCE_SECONDS = 10.0
"""For the cell that is being handed over when a run is stopped."""


class Tracking:
    """This hands the cells of a run folder to tools, in a thread of its own.

    Args:
        store: the run folder.
        tools: names of installed trackers.
        say: prints a line.

    Raises:
        UnknownNameError, MissingPackageError: a tool is not there.
    """

    def __init__(self, store: RunStore, tools: Sequence[str], say: Callable[[str], None]) -> None:
        self.store, self.say = store, say
        self.ledgers = {name: Ledger(store, name) for name in tools}
        project = store.root.resolve().name or "quantdg"
        self._tools: dict[str, Tracker] = {}
        for name, ledger in self.ledgers.items():
            try:
                self._tools[name] = open_tracker(name, ledger.folder, project)
            except QuantDGError:
                raise
            except Exception as error:  # noqa: BLE001 - as in _work: a server may be away
                self._stopped(name, error)
        self.told = dict.fromkeys(tools, 0)
        self._queue: queue.SimpleQueue[tuple[str, Callable[[Tracker], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def cells(self, keys: Iterable[str]) -> None:
        """Hand over those of these cells that are done and were not handed over before; returns at once."""
        chosen = list(keys)
        for name in self.ledgers:
            self._queue.put((name, partial(self._tell, name, chosen)))

    def report(self, page: Path, tables: Mapping[str, Path]) -> None:
        """Hand over a report; returns at once."""
        for name in self.ledgers:
            self._queue.put((name, lambda tool: tool.report(page, tables)))

    def finish(self) -> None:
        """Wait until everything is handed over."""
        for name in self.ledgers:
            self._queue.put((name, lambda tool: tool.close()))
        self._queue.put(None)
        self._thread.join()

    def abandon(self) -> None:
        """Hand over nothing more: the run was stopped, and the next one, or ``quantdg track``, goes on."""
        self._tools.clear()
        self._queue.put(None)
        self._thread.join(PATIENCE_SECONDS)

    @property
    def complete(self) -> bool:
        """Whether no tool has failed."""
        return self._tools.keys() == self.ledgers.keys()

    def _tell(self, name: str, keys: Sequence[str], tool: Tracker) -> None:
        for fresh in self.ledgers[name].fresh(keys):
            tool.cell(tracked_cell(*fresh))
            self.ledgers[name].note(fresh)
            self.told[name] += 1

    def _work(self) -> None:
        while (order := self._queue.get()) is not None:
            name, hand_over = order
            if name not in self._tools:
                continue
            try:
                hand_over(self._tools[name])
            except Exception as error:  # noqa: BLE001 - a tool may raise anything, and must not end a run
                self._tools.pop(name, None)
                self._stopped(name, error)

    def _stopped(self, name: str, error: Exception) -> None:
        self.say(
            f"tracking with {name} stopped: {one_line(error)}; quantdg track {self.store.root} --to {name} goes on"
        )


def report_files(folder: Path) -> tuple[Path, dict[str, Path]]:
    """Return page and tables by name of a report, as ``quantdg report`` has written them into a folder."""
    return folder / "index.html", {path.stem: path for path in sorted(folder.glob("*.csv"))}


def track_report(store: RunStore, tools: Sequence[str], say: Callable[[str], None]) -> None:
    """Hand the report that ``quantdg run`` has just written to tools; a failure is said."""
    tracking = Tracking(store, tools, say)
    tracking.report(*report_files(store.root / "report"))
    tracking.finish()
