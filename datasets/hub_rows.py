"""A table of the library ``datasets``, from the hub or from local files, as rows of undecoded images."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..core.errors import DataError, MissingPackageError, QuantDGError, one_line
from .table import Rows


class Columns(NamedTuple):
    """These columns are read; without one for the domain each split is a domain."""

    image: str
    label: str
    domain: str | None


class Source(NamedTuple):
    """This is where a table is: a local file or folder, or a repository of the hub at a commit.

    Attributes:
        name: path, or ORG/NAME.
        local: whether it is a path.
        revision: commit.
        subset: of a repository that has several.
        cache: folder for the library's files; None takes its own.
    """

    name: str
    local: bool
    revision: str | None
    subset: str | None
    cache: Path | None


def open_rows(source: Source, columns: Columns) -> Rows:
    """Open a table, fetching it first where it is on the hub and was not fetched before.

    Raises:
        MissingPackageError: the library is not installed.
        DataError: it cannot be read, lacks a column, or a column does not hold what it should.
    """
    try:
        library: Any = import_module("datasets")
    except ModuleNotFoundError as error:
        raise MissingPackageError("dataset=hub needs the library datasets: pip install 'quantdg[datasets]'") from error
    try:
        table = _read(library, source)
        splits: Mapping[str, Any] = table if isinstance(table, Mapping) else {"all": table}
        parts = {str(name): _with_columns(library, part, columns, source.name) for name, part in splits.items()}
        return _rows(library, parts, columns, source.name)
    except QuantDGError:
        raise
    except Exception as error:  # the library may raise anything: a broken file, no network, no such repository
        said = one_line(error.__cause__ or error)
        raise DataError(f"cannot read {source.name}: {said}; look at dataset.path, or fetch it again") from error


def _read(library: Any, source: Source) -> Any:
    cache = None if source.cache is None else str(source.cache)
    path = Path(source.name)
    if source.local:
        library.disable_progress_bars()
    if source.local and path.is_dir() and any((path / f).is_file() for f in ("state.json", "dataset_dict.json")):
        return library.load_from_disk(source.name)
    if source.local and path.is_file():
        kind = path.suffix.removeprefix(".")
        if kind not in ("parquet", "arrow"):
            raise DataError(f"{path} must be a .parquet or .arrow file, or a folder of them; write dataset.path=FOLDER")
        return library.load_dataset(kind, data_files=source.name, cache_dir=cache)
    return library.load_dataset(source.name, name=source.subset, revision=source.revision, cache_dir=cache)


def _with_columns(library: Any, part: Any, columns: Columns, source: str) -> Any:
    """One split with the columns that are needed, its images undecoded."""
    for option, column in columns._asdict().items():
        if column is not None and column not in part.column_names:
            instead = ", or null where each split is a domain" if option == "domain" else ""
            raise DataError(
                f"{source} has no column {column!r} for the {option}, it has {', '.join(part.column_names)}; write "
                f"dataset.{option}_column=COLUMN{instead}"
            )
    part = part.select_columns(list(dict.fromkeys(column for column in columns if column is not None)))
    feature = part.features[columns.image]
    if isinstance(feature, library.Image):
        return part.cast_column(columns.image, library.Image(decode=False))
    if not (_is_binary(feature) or (isinstance(feature, Mapping) and "bytes" in feature)):
        raise DataError(
            f"column {columns.image!r} of {source} must hold images or the bytes of their files, it holds {feature}; write "
            "dataset.image_column=COLUMN"
        )
    return part


def _is_binary(feature: Any) -> bool:
    return getattr(feature, "dtype", "") in ("binary", "large_binary")


def _names(library: Any, part: Any, column: str, source: str) -> list[Any]:
    """A column of names, whole numbers or coded names, without gaps."""
    feature, values = part.features[column], part[column][:]
    coded = isinstance(feature, library.ClassLabel)
    if not coded and not all(isinstance(value, (str, int, type(None))) for value in values):
        raise DataError(f"column {column!r} of {source} must hold names or whole numbers, it holds {feature}")
    gap = next((row for row, value in enumerate(values) if value is None or (coded and value < 0)), None)
    if gap is not None:
        raise DataError(
            f"{source} has nothing in column {column!r} of row {gap}, counted from 0; fill or remove the row"
        )
    return [feature.int2str(value) for value in values] if coded else list(values)


def _file_names(part: Any, column: str) -> list[str]:
    """The names of the images' files; empty where the table does not know them."""
    if _is_binary(part.features[column]) or "path" not in _fields(part.features[column]):
        return [""] * len(part)
    paths = import_module("pyarrow.compute").struct_field(part.data.column(column), "path").to_pylist()
    return [PurePosixPath((path or "").replace("\\", "/")).name for path in paths]


def _fields(feature: Any) -> Mapping[str, Any]:
    return feature if isinstance(feature, Mapping) else {"bytes": None, "path": None}


def _rows(library: Any, parts: Mapping[str, Any], columns: Columns, source: str) -> Rows:
    labels = [name for part in parts.values() for name in _names(library, part, columns.label, source)]
    if columns.domain is None:
        domains = [name for name, part in parts.items() for _ in range(len(part))]
    else:
        domains = [name for part in parts.values() for name in _names(library, part, columns.domain, source)]
    files = [name for part in parts.values() for name in _file_names(part, columns.image)]
    places = [(part, row) for part in parts.values() for row in range(len(part))]

    def read(row: int) -> bytes:
        part, place = places[row]
        return _content(part[place][columns.image])

    return Rows(domains, labels, files if all(files) else None, read)


def _file(path: Path) -> bytes:
    """A table may come from a stranger: what it names is opened only where it is a file, which a pipe or device is not."""
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    return path.read_bytes()


def _content(image: Any) -> bytes:
    """The bytes of a file, which the table holds or tells the path of."""
    content, path = (image.get("bytes"), image.get("path")) if isinstance(image, Mapping) else (image, None)
    if content is None and path:
        return _file(Path(path))
    if content is None:
        raise ValueError("the row holds no image")
    return bytes(content)
