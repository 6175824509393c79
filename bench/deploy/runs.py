"""Deploy the cells of a run folder: what ``quantdg run ... deploy=openvino`` does after training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from quantdg.bench.deploy.cell import deploy_cell
from quantdg.bench.deploy.latency import representatives
from quantdg.bench.deploy.records import FOLDER, Deployment, deployments, write_deployment
from quantdg.bench.deploy.settings import DeploySettings
from quantdg.bench.deploy.stored import open_cell
from quantdg.bench.environment import machine
from quantdg.bench.experiment import Paths
from quantdg.bench.records import Record
from quantdg.bench.store import RunStore
from quantdg.core.errors import MissingPackageError, QuantDGError

Watch = Callable[[Deployment], None]


def deploy_store(
    store: RunStore, keys: Sequence[str], paths: Paths, settings: DeploySettings, watch: Watch | None = None
) -> None:
    """Deploy the cells that have no record for this runtime yet; a failure becomes a record with its reason.

    Writes RUNS/deploy/KEY-RUNTIME.json, KEY.onnx and KEY.safetensors.zst.

    Args:
        store: the run folder.
        keys: of the cells to consider; those without a stored model are passed over.
        paths: of the data set.
        settings: runtime and what to time.
        watch: told each new record.
    """
    timed = {r.key for r in representatives(store, keys)}
    chosen = [k for k in keys if k in timed or settings.cells == "all"]
    for record in filter(None, (store.read(k) for k in _pending(store, chosen, settings))):
        if record.sizes is None:
            continue
        deployment = _try(store, record, paths, settings, record.key in timed)
        write_deployment(store.root, deployment)
        if watch is not None:
            watch(deployment)


def _pending(store: RunStore, keys: Sequence[str], settings: DeploySettings) -> list[str]:
    again = ("failed", "unavailable")
    known = (d for d in deployments(store.root) if isinstance(d, Deployment))
    done = {d.key for d in known if d.runtime == settings.runtime and d.kind not in again}
    return [k for k in keys if k not in done]


def _try(store: RunStore, record: Record, paths: Paths, settings: DeploySettings, timed: bool) -> Deployment:
    out: Path = store.root / FOLDER / f"{record.key}.onnx"
    out.parent.mkdir(exist_ok=True)
    labels, runtime = record.labels, settings.runtime
    try:
        cell = open_cell(store, record, paths)
        return deploy_cell(cell, settings, out, timed)
    except MissingPackageError as error:
        return Deployment(record.key, labels, runtime, "unavailable", str(error), machine=machine())
    except Exception as error:  # noqa: BLE001 - any failure is a result of this cell
        kind = "" if isinstance(error, QuantDGError) else f"{type(error).__name__}: "
        reason = kind + " ".join(str(error).split())
        return Deployment(record.key, labels, runtime, "failed", reason, machine=machine())
