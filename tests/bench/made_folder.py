"""Run folders made up here: a plan, and records of some of its cells."""

from __future__ import annotations

import json
import os
from dataclasses import astuple, dataclass
from itertools import product
from pathlib import Path

from quantdg.bench.results.record import Labels, Record, Row, fingerprint
from quantdg.bench.results.store import RunStore

SETTINGS = {"protocol": {"steps": 60, "start_step": 20}}


@dataclass
class Folder:
    store: RunStore
    labels: dict[str, Labels]

    def key(self, path: str) -> str:
        return next(key for key, labels in self.labels.items() if labels.path == path)

    def write(self, path: str, status: str = "done", reason: str = "", *, seconds: float = 6.0, at: float = 0) -> Path:
        key = self.key(path)
        rows = {"iid": Row(40, 0.5, 0.4, {"a": 0.75, "b": 0.85}, 0.1, "AA==")} if status == "done" else {}
        curve = [{"step": step, "train_loss": 1 / step, "source_acc": 0.5, "target_out": 0.25} for step in (20, 40, 60)]
        timings = {"branch_s": seconds, "step_ms": 100.0} if rows else {}
        more = {"rows": rows, "timings": timings, "curve": curve if rows else []}
        self.store.write(Record(key, status, self.labels[key], SETTINGS, reason, **more))
        place = self.store.cell_path(key)
        if at:
            os.utime(place, (at, at))
        return place


def made_folder(
    root: Path, *, datasets=("digits",), targets=("plain", "thick"), seeds=2, algorithms=("erm",), arms=()
) -> Folder:
    store = RunStore(root, create=True)
    arms = arms or (("float", "float"), ("lsq", "W7"))
    labels, groups = {}, {}
    for dataset, target, seed, algorithm in product(datasets, targets, range(seeds), algorithms):
        group = fingerprint([dataset, target, seed, algorithm])
        node = groups.setdefault(group, {"steps": [40, 20], "cells": []})
        for quantizer, bits in arms:
            made = Labels(dataset, target, seed, algorithm, quantizer, bits, "convnet", "digits")
            key = fingerprint(made.path)
            labels[key] = made
            node["cells"].append([key, *astuple(made)])
    place = store.path("plans/0123456789abcdef.json")
    place.parent.mkdir()
    place.write_text(json.dumps(groups))
    return Folder(store, labels)
