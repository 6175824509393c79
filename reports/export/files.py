"""The rows of `numbers` as a Parquet or CSV file."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from ...bench.results.files import write_atomic
from ...core.errors import MissingPackageError
from ..text import escape


def check_parquet(instead: str) -> None:
    """Raise MissingPackageError, which says what to write ``instead``, where no Parquet can be written."""
    if find_spec("pyarrow") is None:
        raise MissingPackageError(
            f"Parquet needs pyarrow, which is not installed: pip install 'quantdg[export]'; or write {instead}"
        )


def write_parquet(frame: pd.DataFrame, file: Path) -> None:
    """Write a Parquet file under zstd: texts, whole numbers and float64 as columns of these types."""
    data = io.BytesIO()
    frame.to_parquet(data, engine="pyarrow", index=False, compression="zstd")
    write_atomic(file, data.getvalue())


def write_csv(frame: pd.DataFrame, file: Path) -> None:
    """Write a CSV file at full precision, without the settings, which would be most of it: the key stands for them."""
    shown = frame.drop(columns="settings")
    texts = [str(c) for c in shown.columns if shown[c].dtype == "string"]
    shown[texts] = shown[texts].map(escape.csv_cell)
    write_atomic(file, str(shown.to_csv(index=False, lineterminator="\n")))
