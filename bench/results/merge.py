"""Folders of several machines into one; nothing that is there is replaced. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import ConfigError, RecordError
from .archive import FOLDERS, run_folder
from .codec import WRONG, complaint
from .files import remove, write_first
from .folder import listed, read_file
from .record import Record, fingerprint
from .seal import check_seal
from .store import CELLS, RunStore
from .trials import check_searches
from .verdict_rules import fix_rules, read_rules

_MACHINE = ("provenance", "timings", "logits", "log", "confusion")
"""What two runs of one cell may differ in, or one of them not have."""
OF_CELLS = (CELLS, "log")
"""Folders of what comes along with its cell; all else that is text is copied as it is."""


@dataclass
class Merged:
    """This says what a merge did: counts, and a line for each cell whose results differ and each file left out."""

    copied: int = 0
    same: int = 0
    upgraded: int = 0
    conflicts: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return a line of counts, then the conflicts and what was left out."""
        head = (
            f"{self.copied} cells copied, {self.same} there already, {self.upgraded} failed ones replaced by results, "
            f"{len(self.conflicts)} conflicts, {len(self.skipped)} files left out"
        )
        return "\n".join([head, *self.conflicts, *self.skipped])


def merge_runs(sources: Sequence[Path], out: Path) -> Merged:
    """Merge run folders into ``out``, which may be one already; a result comes before a failure, then the first wins.

    A source may be an archive of records, or a folder that holds one (`quantdg.bench.results.archive`). Models, float
    phases, latencies, deployments, ensembles, plans, searches and the rules of the verdict come along. Raises RecordError for a folder
    that is none, ConfigError where ``out`` is among the sources, or rules or searches differ.
    """
    if out.resolve() in {source.resolve() for source in sources}:
        raise ConfigError(f"--out must be a folder of its own, got {out}; the sources are never changed")
    with ExitStack() as unpacked:
        roots = {unpacked.enter_context(run_folder(source)): source for source in sources}
        merged = _merge([RunStore(root) for root in roots], out)
    for root, source in roots.items():
        for lines in (merged.conflicts, merged.skipped):
            lines[:] = [line.replace(str(root), str(source)) for line in lines]
    return merged


def _merge(stores: Sequence[RunStore], out: Path) -> Merged:
    target = RunStore(out, create=True)
    merged = Merged()
    for rules in filter(None, (read_rules(store.root) for store in stores)):
        fix_rules(out, rules)
    check_searches([out, *(store.root for store in stores)])
    known: dict[str, str] = {}
    for record in target.records():
        if isinstance(record, Record):
            with _leaving_out(merged, target.cell_path(record.key)):
                known[fingerprint(record.settings)] = record.key
    for store in stores:
        for record in store.records():
            if not isinstance(record, Record):
                merged.skipped.append(f"left out: {record.reason}")
                continue
            with _leaving_out(merged, store.cell_path(record.key)):
                same = known.setdefault(fingerprint(record.settings), record.key)
                _merge_record(record, store, target, same, merged=merged)
        for folder in ("float", *(name for name in FOLDERS if name not in OF_CELLS)):
            for path in listed(store.root, folder):
                _copy(store, target, f"{folder}/{path.name}", merged)
    return merged


@contextmanager
def _leaving_out(merged: Merged, path: Path) -> Iterator[None]:
    """Note that a record has something in its free parts that has another form than every record's."""
    try:
        yield
    except WRONG as error:
        merged.skipped.append(f"left out: {complaint(str(path), 'record', error)}")


def _copy(source: RunStore, target: RunStore, name: str, merged: Merged, *, record: Record | None = None) -> None:
    """Copy a file of this name, unless the target has one; what is no regular file is left out.

    Also left out is a file that is not the model of ``record``.
    """
    path = target.path(name)
    if path.exists():
        return
    try:
        data = read_file(source.path(name))
        if record is not None:
            _check_model(data, name, record)
    except FileNotFoundError:
        return
    except RecordError as error:
        merged.skipped.append(f"left out: {error}")
        return
    if not write_first(path, data):  # a link that leads nowhere
        remove(path)
        write_first(path, data)


def _check_model(data: bytes, name: str, record: Record) -> None:
    try:
        check_seal(data, {"key": record.key}, wanted=record.sizes.checksum if record.sizes is not None else "")
    except RecordError as error:
        raise RecordError(f"{name} is not the model of its record ({error})") from error


def _merge_record(record: Record, store: RunStore, target: RunStore, known: str, merged: Merged) -> None:
    """Take a record over as it is; ``known`` is the key of the same cell in the target, another one across schemas."""
    there = target.read(known)
    if there is None or (there.status != "done" and record.status == "done"):
        if target.cell_path(known).exists():
            target.delete(known)
            merged.upgraded += there is not None
        if record.sizes is not None and record.sizes.path:
            _copy(store, target, record.sizes.path, merged, record=record)
        if record.log:
            _copy(store, target, record.log, merged)
        _copy(store, target, f"{CELLS}/{record.key}.json", merged)
        merged.copied += there is None
    elif record.status == "done" and (difference := _difference(there, record)):
        label = record.labels
        where = f"{label.dataset}/{label.target} seed {label.seed} {label.algorithm} {label.quantizer} {label.bits}"
        merged.conflicts.append(f"conflict: {where} ({record.key}) of {store.root}: {difference}; the first one stays")
    else:
        merged.same += 1


def _difference(first: Record, second: Record) -> str:
    """Why two results of one cell are not the same, or an empty string."""
    digests = [r.provenance.get("final_weights_sha256") for r in (first, second)]
    if digests[0] != digests[1]:
        return _versions(first.provenance, second.provenance) or "different final weights on equal versions"
    plain = [_comparable(r) for r in (first, second)]
    names = [name for name in plain[0] if plain[0][name] != plain[1].get(name)]
    return f"equal final weights, but different {', '.join(names)}" if names else ""


def _comparable(record: Record) -> dict[str, Any]:
    """A record without what depends on the machine, and without its key, which two schemas give differently."""
    plain = {k: v for k, v in json.loads(record.to_json()).items() if k not in _MACHINE}
    return {**plain, "key": "", "sizes": plain["sizes"] and {**plain["sizes"], "path": ""}}


def _versions(first: dict[str, Any], second: dict[str, Any]) -> str:
    """The first difference in what the two ran on, in words."""
    for part in ("versions", "machine"):
        a, b = first.get(part, {}), second.get(part, {})
        for name in sorted({*a, *b}):
            if a.get(name) != b.get(name):
                return f"different final weights; {name} was {a.get(name)} and is {b.get(name)}"
    if first.get("threads") != second.get("threads"):
        return f"different final weights; threads were {first.get('threads')} and are {second.get('threads')}"
    return ""
