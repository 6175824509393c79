"""MLflow: one MLflow run a cell. The only importer of mlflow.

Without MLFLOW_TRACKING_URI everything goes into a database file of the run folder, since MLflow keeps its older folders of
files for compatibility only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.packages import require
from .tracker import TrackedCell, Tracker

LONGEST = 500
"""Characters of a parameter's value that every MLflow server takes."""
MOST_PARAMETERS, MOST_METRICS = 100, 1000
"""In one request."""


class MLflow(Tracker):
    """This makes an MLflow experiment of the run folder: ``mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db``."""

    def __init__(self, folder: Path, project: str) -> None:
        super().__init__(folder, project)
        require("mlflow", extra="mlflow", need="tracking=[mlflow]")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        from mlflow import MlflowClient, entities  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

        folder.mkdir(parents=True, exist_ok=True)
        remote = os.environ.get("MLFLOW_TRACKING_URI")
        self._client: Any = MlflowClient(tracking_uri=remote or f"sqlite:///{(folder / 'mlflow.db').resolve()}")
        self._entities: Any = entities
        place = None if remote else (folder / "artifacts").resolve().as_uri()
        found = self._client.get_experiment_by_name(project)
        self._experiment = found.experiment_id if found else self._client.create_experiment(project, place)

    def cell(self, cell: TrackedCell) -> None:
        """Log a run with the cell's labels as tags, settings as parameters and numbers as metrics."""
        at = round(1000 * cell.ended)
        tags = {"quantdg.key": cell.key, **{f"quantdg.{name}": str(value) for name, value in cell.labels.items()}}
        run = self._start(cell.name, at, tags)
        points = [(name, step, value) for name, curve in cell.curves.items() for step, value in curve]
        points += [(name, 0, value) for name, value in cell.final.items()]
        metrics = [self._entities.Metric(_safe(name), value, at, step) for name, step, value in points]
        params = [self._entities.Param(_safe(name), str(value)[:LONGEST]) for name, value in cell.settings.items()]
        for i in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(run, metrics=metrics[i : i + MOST_METRICS])
        for i in range(0, len(params), MOST_PARAMETERS):
            self._client.log_batch(run, params=params[i : i + MOST_PARAMETERS])
        self._client.set_terminated(run, end_time=at)

    def report(self, page: Path, tables: Mapping[str, Path]) -> None:
        """Log a run ``report`` with page and tables as artifacts."""
        at = round(1000 * page.stat().st_mtime)
        run = self._start("report", at, {})
        self._client.log_artifact(run, str(page))
        for path in tables.values():
            self._client.log_artifact(run, str(path), "tables")
        self._client.set_terminated(run, end_time=at)

    def close(self) -> None:
        """Do nothing: each run is complete when it is written."""

    def _start(self, name: str, at: int, tags: Mapping[str, str]) -> str:
        run: str = self._client.create_run(self._experiment, at, dict(tags), run_name=name).info.run_id
        return run


def _safe(name: str) -> str:
    """A name of characters that MLflow takes."""
    return "".join(c if c.isalnum() or c in "-_. /" else "_" for c in name)
