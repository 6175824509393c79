"""Deploy the cells of a run folder: what ``quantdg run ... deploy=openvino`` does after training."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.util import get_temp_dir
from pathlib import Path

from ...core.errors import MissingPackageError, one_line
from ..experiment.deploy import DeploySettings
from ..experiment.grid import Paths
from ..results.deployment import FOLDER, Deployment, deployments, write_deployment
from ..results.files import stop_if_disk_failed
from ..results.provenance import machine
from ..results.record import Record
from ..results.store import RunStore
from .cell import deploy_in, prepare_deployment
from .latency import representatives
from .runtimes import suffix
from .stored import open_cell

Watch = Callable[[Deployment, int], None]
"""It is told a new deployment, and how many are still to come at most."""


def deploy_store(
    store: RunStore, keys: Sequence[str], paths: Paths, settings: DeploySettings, watch: Watch | None = None
) -> None:
    """Deploy the cells that have no record for these runtimes yet; a failure becomes a record with its reason.

    Writes RUNS/deploy/KEY-RUNTIME.json, KEY.onnx or KEY.pte with its description KEY.onnx.json or KEY.pte.json, and
    KEY.safetensors.zst.

    Args:
        store: the run folder.
        keys: of the cells to consider; those without a stored model are passed over.
        paths: of the data set.
        settings: runtimes and what to time.
        watch: told each new record, and how many are still to come at most.
    """
    timed = {r.key for r in representatives(store, keys) if _worth_timing(r)}
    chosen = [k for k in keys if k in timed or settings.cells == "all"]
    done = _done(store)
    missing = {key: [r for r in settings.runtimes if (key, r) not in done] for key in chosen}
    left = sum(map(len, missing.values()))
    for key, runtimes in missing.items():
        record = store.read(key) if runtimes else None
        if record is None or record.sizes is None:
            left -= len(runtimes)
            continue
        for own in _sharing_a_file(runtimes):
            for deployment in _deploy(store, record, paths, replace(settings, runtimes=own), timed=key in timed):
                write_deployment(store.root, deployment)
                left -= 1
                if watch is not None:
                    watch(deployment, left)


def _sharing_a_file(runtimes: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(r for r in runtimes if suffix(r) == end) for end in dict.fromkeys(map(suffix, runtimes))]


def _worth_timing(record: Record) -> bool:
    """Float and what has integers; a control in float32 costs what float costs."""
    return record.labels.quantizer == "float" or (record.sizes is not None and record.sizes.codes > 0)


def _done(store: RunStore) -> set[tuple[str, str]]:
    again = ("failed", "unavailable")
    known = (d for d in deployments(store.root) if isinstance(d, Deployment))
    return {(d.key, d.runtime) for d in known if d.kind not in again}


def _deploy(
    store: RunStore, record: Record, paths: Paths, settings: DeploySettings, timed: bool
) -> Iterator[Deployment]:
    """One cell in each runtime of the settings, which read the same file; a failure is a result."""
    out = store.path(f"{FOLDER}/{record.key}{suffix(settings.runtimes[0])}")
    out.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=get_temp_dir()) as scratch:
        try:
            prepared = prepare_deployment(open_cell(store, record, paths), out, Path(scratch), timed)
        except Exception as error:  # noqa: BLE001 - any failure but a disk's is a result of this cell
            stop_if_disk_failed(error, out)
            yield from (_unable(record, runtime, error) for runtime in settings.runtimes)
            return
        for runtime in settings.runtimes:
            try:
                yield deploy_in(runtime, prepared, settings)
            except Exception as error:  # noqa: BLE001
                stop_if_disk_failed(error, out)
                yield _unable(record, runtime, error)


def _unable(record: Record, runtime: str, error: Exception) -> Deployment:
    if isinstance(error, MissingPackageError):
        return Deployment(record.key, record.labels, runtime, "unavailable", reason=str(error), machine=machine())
    return Deployment(record.key, record.labels, runtime, "failed", reason=one_line(error), machine=machine())
