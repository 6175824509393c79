"""Wall time of one forward call, in a process of its own, all models interleaved.

What is measured here is torch eager on dequantized float32 weights: the same arithmetic for every quantizer, so no
integer speed-up can appear; integer runtimes are measured by the deployment part. Rounds interleave the models, so
drift of the machine hits all alike, and the ratio is taken inside each round.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from statistics import median, quantiles

import torch

from ..experiment.component import Component
from ..experiment.grid import Experiment
from ..models.base import DGModel
from ..packed.file import load_packed
from ..results.latency import Latency
from ..results.provenance import machine
from ..results.record import Record
from ..results.store import RunStore
from ..training.data import load_dataset

ROUNDS, WARM_UP, BATCHES = 30, 3, (1, 32)
FEWEST_ROUNDS, SECONDS = 7, 30.0
"""After so many seconds the fewest rounds are enough."""
RUNTIME, ARITHMETIC = "torch eager", "float32"


def representatives(store: RunStore, keys: Sequence[str]) -> list[Record]:
    """One stored model for each (quantizer, bits), float first: latency depends on no seed, target or algorithm."""
    chosen: dict[tuple[str, str], Record] = {}
    for key in keys:
        record = store.read(key)
        if record is not None and record.sizes is not None and (store.root / record.sizes.path).exists():
            chosen.setdefault((record.labels.quantizer, record.labels.bits), record)
    return sorted(chosen.values(), key=lambda r: (r.labels.quantizer != "float", r.labels.quantizer, r.labels.bits))


def measure_store(store: RunStore, keys: Sequence[str], experiment: Experiment) -> None:
    """Measure the representatives of these cells unless all are measured; each result is stored."""
    records = representatives(store, keys)
    have = {x.key for x in store.latencies() if isinstance(x, Latency)}
    if not records or {r.key for r in records} <= have:
        return
    dataset = load_dataset(experiment.dataset, experiment.paths)
    arguments = (store, records, experiment.model, dataset.shape, len(dataset.classes), experiment.launcher.threads)
    process = multiprocessing.get_context("forkserver").Process(target=_measure, args=arguments)
    process.start()
    process.join()


def _network(
    component: Component, record: Record, store: RunStore, shape: tuple[int, int, int], classes: int
) -> DGModel:
    network: DGModel = component.build(shape, classes)
    assert record.sizes is not None
    network.load_state_dict(load_packed(store.root / record.sizes.path))
    return network.eval()


def _measure(
    store: RunStore,
    records: list[Record],
    component: Component,
    shape: tuple[int, int, int],
    classes: int,
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    networks = [_network(component, r, store, shape, classes) for r in records]
    for batch in BATCHES:
        times = interleaved(networks, torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0)))
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


@torch.inference_mode()
def interleaved(networks: Sequence[torch.nn.Module], x: torch.Tensor) -> list[list[float]]:
    """Milliseconds of at most ROUNDS calls of each network, one call of each a round."""
    times: list[list[float]] = [[] for _ in networks]
    for network in [*networks] * WARM_UP:
        network(x)
    started = time.perf_counter()
    while len(times[-1]) < ROUNDS:
        if len(times[-1]) >= FEWEST_ROUNDS and time.perf_counter() - started > SECONDS:
            break
        for network, own in zip(networks, times, strict=True):
            began = time.perf_counter()
            network(x)
            own.append(1000 * (time.perf_counter() - began))
    return times
