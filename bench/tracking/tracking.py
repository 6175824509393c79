"""Records handed to tracking tools: while a run goes, by a thread of the driver, and afterwards from the folder alone.

Training never waits for a tool and knows nothing of it, nor does one tool for another. A tool that fails is told in a line and
left out; what it missed is handed over by ``quantdg track``.
"""

from __future__ import annotations

import queue
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ...core.errors import QuantDGError, one_line
from ..results.store import RunStore
from .cells import tracked_cell
from .ledger import Ledger
from .tracker import Tracker, open_tracker

PATIENCE_SECONDS = 10.0
"""For the cells that are being handed over when a run is stopped."""
_CELLS = re.compile(r'(<script type="application/json" id="keys") data-cells="[^"]*"')
Order = Callable[[Tracker], None]


class Tracking:
    """This hands the cells of a run folder to tools, to each in a thread of its own: they mostly wait, for a disk or a server.

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
        self._queues: dict[str, queue.SimpleQueue[Order | None]] = {name: queue.SimpleQueue() for name in self._tools}
        self._threads = [threading.Thread(target=self._work, args=(name,), daemon=True) for name in self._tools]
        for thread in self._threads:
            thread.start()

    def cells(self, keys: Iterable[str]) -> None:
        """Hand over those of these cells that are done and were not handed over before; returns at once."""
        chosen = list(keys)
        for name, own in self._queues.items():
            own.put(partial(self._tell, name, chosen))

    def report(self, page: Path, tables: Mapping[str, Path]) -> None:
        """Hand over a report; returns at once."""
        for own in self._queues.values():
            own.put(lambda tool: tool.report(page, tables))

    def finish(self) -> None:
        """Wait until everything is handed over."""
        for own in self._queues.values():
            own.put(lambda tool: tool.close())
            own.put(None)
        for thread in self._threads:
            thread.join()

    def abandon(self) -> None:
        """Hand over nothing more: the run was stopped, and the next one, or ``quantdg track``, goes on."""
        self._tools.clear()
        until = time.monotonic() + PATIENCE_SECONDS
        for own in self._queues.values():
            own.put(None)
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def complete(self) -> bool:
        """Whether no tool has failed."""
        return self._tools.keys() == self.ledgers.keys()

    def _tell(self, name: str, keys: Sequence[str], tool: Tracker) -> None:
        for fresh in self.ledgers[name].fresh(keys):
            tool.cell(tracked_cell(*fresh))
            self.ledgers[name].note(fresh)
            self.told[name] += 1

    def _work(self, name: str) -> None:
        while (hand_over := self._queues[name].get()) is not None:
            try:
                if name in self._tools:
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


@contextmanager
def without_cells(page: Path) -> Iterator[Path]:
    """Lend a copy of a report's page whose records are no links: the pages of cells that they lead to stay in the folder."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / page.name
        copy.write_text(_CELLS.sub(r"\1", page.read_text(encoding="utf-8"), count=1), encoding="utf-8")
        yield copy


def track_report(store: RunStore, tools: Sequence[str], say: Callable[[str], None]) -> None:
    """Hand the report that ``quantdg run`` has just written to tools; a failure is said."""
    page, tables = report_files(store.root / "report")
    tracking = Tracking(store, tools, say)
    with without_cells(page) as alone:
        tracking.report(alone, tables)
        tracking.finish()
