"""Trackio: one Trackio run a cell, in a database on this machine. The only importer of trackio."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from ...core.packages import require
from .tracker import TrackedCell, Tracker, read_table


class Trackio(Tracker):
    """This writes a Trackio project of the run folder: ``TRACKIO_DIR=FOLDER trackio show --project NAME``."""

    def __init__(self, folder: Path, project: str) -> None:
        super().__init__(folder, project)
        require("trackio", extra="trackio", need="tracking=[trackio]")
        os.environ.setdefault("TRACKIO_DIR", str(folder.resolve()))  # read when it is imported
        import trackio  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

        self._trackio: Any = trackio

    def cell(self, cell: TrackedCell) -> None:
        """Log a run with settings as its configuration; final numbers come with the last step of the curves."""
        config = {**{f"label_{name}": value for name, value in cell.labels.items()}, **cell.settings, "key": cell.key}
        steps = cell.by_step()
        last = max(steps, default=0)
        steps.setdefault(last, {}).update({f"final/{name}": value for name, value in cell.final.items()})
        self._log(cell.name, cell.group, config, steps)

    def report(self, page: Path, tables: Mapping[str, Path]) -> None:
        """Log a run ``report`` with the page and the tables."""
        media: dict[str, Any] = {"page": self._trackio.Html(page)}
        for name, path in tables.items():
            head, *rows = read_table(path)
            media[f"tables/{name}"] = self._trackio.Table(columns=head, data=rows)
        self._log("report", "report", {}, {0: media})

    def close(self) -> None:
        """Do nothing: each run is complete when it is finished."""

    def _log(self, name: str, group: str, config: Mapping[str, Any], steps: Mapping[int, Mapping[str, Any]]) -> None:
        quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        with redirect_stdout(io.StringIO()):  # three lines a run
            run = self._trackio.init(project=self.project, name=name, group=group, config=dict(config), **quiet)
            for step, values in steps.items():
                run.log(dict(values), step=step)
            run.finish()
