"""TensorBoard: one folder of event files a cell. The only importer of tensorboard; neither torch nor TensorFlow is needed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.packages import require
from ..results.files import write_atomic
from ..results.folder import inside
from .tracker import TrackedCell, Tracker, read_table

ROWS = 200
"""Of a table at most: TensorBoard shows them as text."""


class TensorBoard(Tracker):
    """This writes curves and final numbers as scalars, settings and tables as text: ``tensorboard --logdir FOLDER``."""

    def __init__(self, folder: Path, project: str) -> None:
        super().__init__(folder, project)
        require("tensorboard", extra="tensorboard", need="tracking=[tensorboard]")
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

        self._writer: Any = EventFileWriter
        self._event, self._summary, self._tensor, self._types = event_pb2, summary_pb2, tensor_pb2, types_pb2

    def cell(self, cell: TrackedCell) -> None:
        """Write a folder named after the cell, in place of an earlier one."""
        writer = self._open(Path(*(_safe(part) for part in cell.name.split("/"))) / cell.key)
        for name, points in cell.curves.items():
            for step, value in points:
                self._scalar(writer, name, value, step=step, at=cell.ended)
        for name, value in cell.final.items():
            self._scalar(writer, f"final/{name}", value, step=0, at=cell.ended)
        lines = [f"| {name} | {value} |" for name, value in cell.settings.items()]
        self._text(writer, "settings", "\n".join(["| setting | value |", "| --- | --- |", *lines]), cell.ended)
        writer.close()

    def report(self, page: Path, tables: Mapping[str, Path]) -> None:
        """Write the tables as text, cut after `ROWS` rows, and a copy of the page, which TensorBoard cannot show."""
        writer = self._open(Path("report"))
        at = page.stat().st_mtime
        kept = self.folder / "page.html"
        write_atomic(kept, page.read_bytes())
        self._text(writer, "page", f"open `{kept.resolve()}` in a browser", at)
        for name, path in tables.items():
            rows = [[cell.replace("|", "/").replace("\n", " ") for cell in row] for row in read_table(path)]
            lines = [f"| {' | '.join(row)} |" for row in rows]
            more = [f"\n{len(lines) - 1 - ROWS} more rows in `{path}`"] if len(lines) > ROWS + 1 else []
            mark = f"|{' --- |' * max(map(len, rows), default=1)}"
            self._text(writer, f"tables/{name}", "\n".join([*lines[:1], mark, *lines[1 : ROWS + 1], *more]), at)
        writer.close()

    def close(self) -> None:
        """Do nothing: each folder is complete when it is written."""

    def _open(self, place: Path) -> Any:
        folder = inside(self.folder, f"{place.as_posix()}/-").parent
        shutil.rmtree(folder, ignore_errors=True)
        return self._writer(str(folder))

    def _scalar(self, writer: Any, name: str, value: float, *, step: int, at: float) -> None:
        summary = self._summary.Summary(value=[self._summary.Summary.Value(tag=name, simple_value=value)])
        writer.add_event(self._event.Event(wall_time=at, step=step, summary=summary))

    def _text(self, writer: Any, name: str, text: str, at: float) -> None:
        plugin = self._summary.SummaryMetadata.PluginData(plugin_name="text")
        tensor = self._tensor.TensorProto(dtype=self._types.DT_STRING, string_val=[text.encode()])
        metadata = self._summary.SummaryMetadata(plugin_data=plugin, data_class=self._summary.DATA_CLASS_TENSOR)
        value = self._summary.Summary.Value(tag=name, metadata=metadata, tensor=tensor)
        writer.add_event(self._event.Event(wall_time=at, step=0, summary=self._summary.Summary(value=[value])))


def _safe(part: str) -> str:
    """A part of a cell's name as the name of a folder."""
    return "".join(c if c.isalnum() or c in "-_+." else "_" for c in part).lstrip(".") or "_"
