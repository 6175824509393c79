"""What a record in brief costs beside parsing it: ``pytest -s -m speed tests/bench/results``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.summary import summarize

pytestmark = pytest.mark.speed
ROUNDS, COPIES = 15, 500


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_a_record_in_brief_beside_parsing_it(benchmark: Any) -> None:
    """Records of real cells, 9 to 13 kB, each with labels of its own."""
    whole = [Record.from_json(p.read_text()) for p in (Path(__file__).parent / "schema1").glob("*/cells/*.json")]
    cells = (replace(r, labels=replace(r.labels, seed=i)) for i in range(COPIES) for r in whole)
    texts = [cell.to_json().encode() for cell in cells]
    rounds = [
        (_seconds(lambda: [summarize("k", t, 0.0) for t in texts]), _seconds(lambda: [json.loads(t) for t in texts]))
        for _ in range(ROUNDS)
    ]
    ratio = median(brief / parsed for brief, parsed in rounds)
    microseconds = 1e6 * median(brief for brief, _ in rounds) / len(texts)
    benchmark.extra_info |= {"ratio_to_json": ratio, "microseconds": microseconds, "load": os.getloadavg()[0]}
    benchmark.pedantic(lambda: None, rounds=1)
    print(
        f"\n{len(texts)} records: {microseconds:.1f} us each, {ratio:.3f} of json.loads, load {os.getloadavg()[0]:.1f}"
    )
    assert ratio < 0.3
