"""Weights & Biases: one W&B run a cell. The only importer of wandb.

Offline unless WANDB_MODE says otherwise, so that no run ever waits for a password or a network; ``wandb sync`` sends it later.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.packages import require
from .tracker import TrackedCell, Tracker, read_table


class WandB(Tracker):
    """This writes offline runs below ``FOLDER/wandb``, grouped by data set, target and seed."""

    def __init__(self, folder: Path, project: str) -> None:
        super().__init__(folder, project)
        require("wandb", extra="wandb", need="tracking=[wandb]")
        import wandb  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

        self._wandb: Any = wandb
        folder.mkdir(parents=True, exist_ok=True)

    def cell(self, cell: TrackedCell) -> None:
        """Log a run with settings as its configuration; final numbers are its summary."""
        config = {"labels": dict(cell.labels), "key": cell.key, "settings": dict(cell.settings)}
        run = self._start(f"{cell.key}-{cell.version}", cell.name, group=cell.group, config=config)
        for step, values in cell.by_step().items():
            run.log(values, step=step)
        run.summary.update(dict(cell.final))
        run.finish()

    def report(self, page: Path, tables: Mapping[str, Path]) -> None:
        """Log a run ``report`` with the page and the tables."""
        run = self._start(None, "report", group="report", config={})
        media: dict[str, Any] = {"page": self._wandb.Html(str(page), inject=False)}
        for name, path in tables.items():
            head, *rows = read_table(path)
            media[f"tables/{name}"] = self._wandb.Table(columns=head, data=rows)
        run.log(media)
        run.finish()

    def close(self) -> None:
        """End W&B's own process."""
        self._wandb.teardown()

    def _start(self, key: str | None, name: str, *, group: str, config: Mapping[str, Any]) -> Any:
        quiet = {"console": "off", "silent": True, "disable_git": True, "x_disable_stats": True, "x_disable_meta": True}
        quiet["x_save_requirements"] = False  # reads every installed package for each cell, four fifths of its time
        return self._wandb.init(
            project=self.project,
            dir=str(self.folder),
            id=key,
            name=name,
            group=group,
            config=dict(config),
            mode=os.environ.get("WANDB_MODE", "offline"),
            reinit="create_new",
            save_code=False,
            settings=self._wandb.Settings(**quiet),
        )
