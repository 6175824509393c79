"""Wall time of one forward call, in a process of its own, all models interleaved.

What is measured here is torch eager on dequantized float32 weights: the same arithmetic for every quantizer, so no
integer speed-up can appear; integer runtimes are measured by the deployment part. The ratio is taken inside each round.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from statistics import median, quantiles
from typing import Any, NamedTuple

import torch

from ...core.errors import MeasurementError, one_line
from ...core.machine import exit_cause
from ...datasets.base import Outline
from ..experiment.component import Component
from ..models.base import DGModel
from ..results.folder import is_regular
from ..results.latency import Latency
from ..results.provenance import machine
from ..results.record import Record
from ..results.store import RunStore
from .interleaved import sample_interleaved
from .stored import read_cell

ROUNDS, SECONDS, BATCHES = 30, 30.0, (1, 32)
RUNTIME, ARITHMETIC = "torch eager", "float32"


def representatives(store: RunStore, keys: Sequence[str]) -> list[Record]:
    """Choose a stored model for each (data set, quantizer, bits), float first; latency depends on nothing else."""
    chosen: dict[tuple[str, str, str], Record] = {}
    for key in keys:
        record = store.read(key)
        path = store.model_path(record) if record is not None else None
        if record is not None and path is not None and is_regular(path):
            chosen.setdefault((record.labels.dataset, record.labels.quantizer, record.labels.bits), record)
    return sorted(chosen.values(), key=lambda r: (r.labels.quantizer != "float", r.labels.quantizer, r.labels.bits))


class Measured(NamedTuple):
    """These are the cells of one data set, by key, the model they were trained from, and what is known of the data set."""

    keys: Sequence[str]
    model: Component
    outline: Outline


def measure_store(store: RunStore, portions: Sequence[Measured], threads: int) -> None:
    """Measure the representatives of these cells, data set by data set, unless all are measured; each result is stored.

    Args:
        store: the run folder.
        portions: what to measure, in turns within a data set.
        threads: of a forward call.

    Raises:
        MeasurementError: the measuring process ended early; what it had stored by then stays.
    """
    have = {x.key for x in store.latencies() if isinstance(x, Latency)}
    found = [(representatives(store, keys), model, outline) for keys, model, outline in portions]
    work = [part for part in found if not {record.key for record in part[0]} <= have]
    if not work:
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # 2 s for each later measurement, where no worker has started the server
    pipes: Any = context.Pipe(duplex=False)  # its class differs by system
    ours, theirs = pipes
    process = context.Process(target=_measure_or_tell, args=(theirs, store, work, threads))
    process.start()
    theirs.close()
    reason = _last_word(ours)
    process.join()
    if process.exitcode or reason:
        raise MeasurementError(
            f"the measurement of {sum(len(part[0]) for part in work)} models ended with "
            f"{reason or exit_cause(process.exitcode or 0)}, so that the latency table may lack some; the same command measures "
            "again"
        )


def _last_word(pipe: Connection) -> str:
    """What the process says of its failure; empty where it ends in peace or without a word."""
    try:
        return str(pipe.recv())
    except EOFError:
        return ""


def _measure_or_tell(
    pipe: Connection, store: RunStore, work: Sequence[tuple[list[Record], Component, Outline]], threads: int
) -> None:
    try:
        for records, model, outline in work:
            _measure(store, records, model, outline.shape, len(outline.classes), threads=threads)
    except Exception as error:  # noqa: BLE001 - said by the process that waits
        pipe.send(one_line(error))


def _network(
    component: Component, record: Record, store: RunStore, shape: tuple[int, int, int], classes: int
) -> DGModel:
    network: DGModel = component.build(shape, classes)
    network.load_state_dict(read_cell(store, record).state())
    return network.eval()


@torch.inference_mode()
def _measure(
    store: RunStore,
    records: list[Record],
    component: Component,
    shape: tuple[int, int, int],
    classes: int,
    *,
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    networks = [_network(component, r, store, shape, classes=classes) for r in records]
    for batch in BATCHES:
        x = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
        times = sample_interleaved([partial(network, x) for network in networks], ROUNDS, SECONDS)
        for record, own in zip(records, times, strict=True):
            low, _, high = quantiles(own, n=4)
            store.write_latency(
                Latency(
                    key=record.key,
                    labels=record.labels,
                    runtime=RUNTIME,
                    arithmetic=ARITHMETIC,
                    batch=batch,
                    threads=threads,
                    size=shape[1],
                    median_ms=median(own),
                    q25_ms=low,
                    q75_ms=high,
                    rounds=len(own),
                    ratio=median(a / b for a, b in zip(own, times[0], strict=True)),
                    machine=machine(),
                )
            )
