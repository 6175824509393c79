"""A record in brief says what the whole one says, and what is wrong with a damaged one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from quantdg.bench.results.deployment import Deployment
from quantdg.bench.results.latency import Latency
from quantdg.bench.results.record import Record
from quantdg.bench.results.summary import DAMAGED, RecordSummary, summarize

OLD = Path(__file__).parent / "schema1"
RECORDS = sorted(OLD.glob("*/cells/*.json"))


def brief(text: str, key: str) -> RecordSummary:
    """The text of the file of ``key`` in brief."""
    return summarize(key, text.encode(), 1.5)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_both_schemas_say_the_same_in_brief(path: Path) -> None:
    whole = Record.from_json(path.read_text())
    key = path.stem
    found = brief(path.read_text(), key)
    assert found == brief(whole.to_json(), key)
    protocol = whole.settings["protocol"]
    timings = whole.timings
    seconds = max(timings["branch_s"], timings.get("total_s", 0.0) - timings.get("float_s", 0.0))
    steps = protocol["steps"] - protocol["start_step"]
    row = whole.rows["iid"]
    expected = (key, "done", whole.labels, "", 1.5, seconds, timings["step_ms"], steps, found.source, row.target_in)
    assert found == RecordSummary(*expected)
    assert found.source == pytest.approx(sum(row.source_out.values()) / len(row.source_out))
    failed = replace(whole, status="failed", reason='said "no"\n')
    assert brief(failed.to_json(), key) == RecordSummary(key, "failed", whole.labels, 'said "no"\n', 1.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 99}, "KEY has schema 99, this version reads 1 and 2"),
        ({"status": "fine"}, "KEY has status 'fine'"),
        (
            {"labels": {"seed": 0}},
            "KEY is not a whole record (Object missing required field `dataset` - at `$.labels`)",
        ),
        ({"timings": {"step_ms": "1"}}, "Expected `float`, got `str` - at `$.timings[...]`"),
    ],
)
def test_a_damaged_record_has_its_reason(change: dict[str, object], said: str) -> None:
    key = RECORDS[0].stem
    found = brief(json.dumps({**json.loads(RECORDS[0].read_text()), **change}), key)
    assert (found.state, found.labels) == (DAMAGED, None)
    assert said.replace("KEY", key) in found.reason


def test_bytes_that_are_no_text_are_damaged() -> None:
    assert summarize("k", b'{"schema": 2, "status": "\xff"}', 0.0).state == DAMAGED


NEW = ("images_changed", "recorded_images", "recorded_difference", "recorded_limit", "recorded_changed")
"""What a deployment says since 0.4."""


def without_new(text: str) -> str:
    """The same file as version 0.3 would have written it."""
    return json.dumps({name: value for name, value in json.loads(text).items() if name not in NEW}, indent=1)


def test_measurements_of_version_0_3_are_written_back_to_the_byte() -> None:
    latencies, deployments = sorted(OLD.glob("*/latency/*.json")), sorted(OLD.glob("*/deploy/*.json"))
    assert latencies
    assert deployments
    assert all(Latency.from_json(p.read_text()).to_json() == p.read_text() for p in latencies)
    assert all(without_new(Deployment.from_json(p.read_text()).to_json()) == p.read_text() for p in deployments)
