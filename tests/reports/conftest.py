"""Small run folders made through the real record classes; no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantdg.bench.results.latency import Latency
from quantdg.bench.results.record import Labels, Record, Row, Sizes, fingerprint, pack_bits
from quantdg.bench.results.store import RunStore

MakeRecord = Callable[..., Record]
PROTOCOL = {"name": "small", "steps": 60, "lr": 5e-05}


def make_record(
    target: str = "art",
    seed: int = 0,
    algorithm: str = "erm",
    quantizer: str = "float",
    rows: Mapping[str, float] | None = None,
    **change: Any,
) -> Record:
    """A record; ``change`` overrides labels (dataset, model, protocol, bits), settings or any field."""
    bits = change.pop("bits", "float" if quantizer == "float" else "W7")
    places = {name: change.pop(name, default) for name, default in (("dataset", "pacs"), ("model", "cnn"))}
    labels = Labels(target=target, seed=seed, algorithm=algorithm, quantizer=quantizer, bits=bits,
                    protocol=change.pop("protocol", "small"), **places)  # fmt: skip
    settings = {
        "dataset": {"name": labels.dataset},
        "target": target,
        "seed": seed,
        "algorithm": {"name": algorithm},
        "quantizer": {"name": quantizer, "spec": {"weight_bits": bits}},
        "model": labels.model,
        "protocol": {**PROTOCOL, "name": labels.protocol},
        **change.pop("settings", {}),
    }
    made = {rule: row(value) for rule, value in (rows or {}).items()}
    fields = {"status": "done", "rows": made, "target_count": 8, **change}
    return Record(key=fingerprint(settings), labels=labels, settings=settings, **fields)


def row(accuracy: float) -> Row:
    """A selection row with this target accuracy."""
    correct = pack_bits(np.arange(8) < round(8 * accuracy))
    return Row(50, accuracy, accuracy, {"photo": 0.9}, 0.3, correct)


def audit_site(**change: Any) -> dict[str, float | int | None]:
    """Evidence of one site."""
    return {
        "levels_used": 45,
        "noise_to_signal": 0.058,
        "saturation": 0.001,
        "weight_moved": 0.02,
        "scale_moved": 0.1,
        "scale_gradient": 0.3,
        **change,
    }


def make_latency(record: Record, runtime: str = "torch eager", arithmetic: str = "float32", **change: Any) -> Latency:
    """A measurement of this record's model."""
    values = {"batch": 1, "threads": 2, "size": 32, "median_ms": 4.0, "q25_ms": 3.5, "q75_ms": 4.5, **change}
    return Latency(
        record.key, record.labels, runtime, arithmetic, rounds=20, ratio=1.25, machine={"cpu": "X"}, **values
    )


@pytest.fixture(name="make")
def _make() -> MakeRecord:
    return make_record


@pytest.fixture(name="make_many", scope="session")
def _make_many() -> MakeRecord:
    return make_record


@pytest.fixture(name="make_latency", scope="session")
def _make_latency() -> Callable[..., Latency]:
    return make_latency


@pytest.fixture(name="site", scope="session")
def _site() -> Callable[..., dict[str, float | int | None]]:
    return audit_site


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """An empty run folder."""
    return RunStore(tmp_path / "runs", create=True)


# Accuracies by (quantizer, target, seed); worked out by hand in test_golden.py.
GOLDEN = {
    ("float", "art"): (0.80, 0.82, 0.84),
    ("float", "sketch"): (0.60, 0.60, 0.66),
    ("lsq", "art"): (0.81, 0.83, 0.85),
    ("lsq", "sketch"): (0.63, 0.64, 0.68),
}


def fill_golden(store: RunStore) -> RunStore:
    """Two domains, three seeds, float and lsq, everything a record can carry."""
    for (quantizer, target), values in GOLDEN.items():
        for seed, value in enumerate(values):
            quantized = quantizer != "float"
            record = make_record(
                target, seed, quantizer=quantizer, rows={"iid": value, "oracle": value},
                sizes=Sizes(1000, 250 if quantized else 1000, 200 * quantized, 10 * quantized, 40, ""),
                audit={"conv1": audit_site(), "conv2": audit_site(levels_used=61, scale_moved=0.3)} if quantized else {},
                plan={"sites": [{"name": "conv1"}, {"name": "conv2"}], "skipped": [["classifier", "skipped by a rule of the spec"]]} if quantized else {},
                provenance={"versions": {"torch": "2.15.0"}, "machine": {"cpu": "X"}, "git": {"commit": "abc"}},
            )  # fmt: skip
            store.write(record)
            if target == "art" and seed == 0:
                store.write_latency(make_latency(record))
    return store


@pytest.fixture
def golden(store: RunStore) -> RunStore:
    """The golden records, for one test alone."""
    return fill_golden(store)


@pytest.fixture(scope="session")
def shared_golden(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """The golden records, for tests that only read them."""
    return fill_golden(RunStore(tmp_path_factory.mktemp("golden") / "runs", create=True))
