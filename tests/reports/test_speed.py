"""What a report costs beside reading its files alone: ``pytest -m speed tests/reports``.

10,000 synthetic records on the demo's measure (5 data sets x 4 targets x 5 seeds x 10 algorithms x 10 quantizers, each
with curve, noise, audit, sizes and four selection rules). Reading and reporting take turns in processes of their own;
the figure is the median ratio of their CPU time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from quantdg.bench.results.record import Record, Row, Sizes, pack_bits
from quantdg.bench.results.store import RunStore

pytestmark = pytest.mark.speed

ROUNDS, GUARD, LIMIT_KB = 3, 30.0, 1_000_000
ALGORITHMS = ("erm", "coral", "irm", "mmd", "dann", "fishr", "vrex", "rsc", "sd", "mldg")
QUANTIZERS = ("float", "freeze", "round_freeze", "uniform_noise", "lsq", "pact", "nni_qat", "nni_lsq", "ao", "learned")
SITES = ("featurizer.0", "featurizer.3", "featurizer.6")
READ = "import sys, pathlib; [p.read_bytes() for p in sorted(pathlib.Path(sys.argv[1], 'cells').glob('*'))]"
PARSE = READ.replace("p.read_bytes()", "json.loads(p.read_bytes())").replace("import sys", "import json, sys")
REPORT = (
    "import sys; from quantdg.core.cli import main; main(['report', sys.argv[1], '--html', sys.argv[1] + '/page.html'])"
)
COST = """
import json, pathlib, re, time
peak = re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())
print(json.dumps([time.process_time(), int(peak.group(1))]))
"""


def _curve(draw: np.random.Generator) -> list[dict[str, float]]:
    values = draw.random(12)
    return [
        {"step": 90 + 10 * i, "train_loss": 1 - v, "source_acc": 0.9, "source_loss": 0.4, "target_out": float(v)}
        for i, v in enumerate(values)
    ]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The run folder of 10,000 records."""
    from_conftest: Callable[..., Any] = request.getfixturevalue("make_many")
    root = tmp_path_factory.mktemp("many") / "runs"
    store, draw = RunStore(root, create=True), np.random.default_rng(0)
    store.cell_path("").parent.mkdir()
    places = product(("pacs", "vlcs", "home", "terra", "mnist"), range(4), range(5), ALGORITHMS, QUANTIZERS)
    for dataset, target, seed, algorithm, quantizer in places:
        quantized = quantizer != "float"
        record: Record = from_conftest(
            f"t{target}", seed, algorithm, quantizer, dataset=dataset,
            bits="float" if quantizer in ("float", "freeze") else "W7",
            sizes=Sizes(99952, 27626 if quantized else 99984, 20000, 100, 500),
            noise={site: draw.uniform(0.04, 0.08, 13).tolist() for site in SITES} if quantized else {},
            plan={"sites": [{"name": site} for site in SITES], "skipped": [["classifier", "rule"]]},
            curve=_curve(draw), provenance={"versions": {"torch": "2.15.0"}, "machine": {"cpu": "X"}},
        )  # fmt: skip
        values = np.clip(draw.normal(0.7, 0.03, 4), 0, 1)
        rows = {
            rule: Row(200, v, v, {"a": 0.9}, 0.3, pack_bits(draw.random(359) < v))
            for rule, v in zip(("iid", "last", "swad", "oracle"), values.tolist(), strict=True)
        }
        store.cell_path(record.key).write_text(replace(record, rows=rows).to_json())
    return root


def _cost(code: str, root: Path) -> tuple[float, int]:
    """CPU seconds and the largest memory in KiB of a process of its own."""
    done = subprocess.run([sys.executable, "-c", code + COST, str(root)], capture_output=True, text=True, check=True)
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def test_report_beside_reading_the_files(benchmark: Any, many: Path) -> None:
    rounds = [[_cost(code, many) for code in (READ, PARSE, REPORT)] for _ in range(ROUNDS)]
    ratios = {
        "ratio_to_reading": median(report[0] / read[0] for read, _, report in rounds),
        "ratio_to_parsing": median(report[0] / parse[0] for _, parse, report in rounds),
    }
    memory = max(report[1] for *_, report in rounds)
    seconds = median(report[0] for *_, report in rounds)
    benchmark.extra_info |= {**ratios, "report_cpu_s": seconds, "report_kib": memory}
    print(benchmark.extra_info)
    assert ratios["ratio_to_parsing"] < GUARD
    assert memory < LIMIT_KB
    benchmark.pedantic(_cost, args=(READ, many), rounds=1)
