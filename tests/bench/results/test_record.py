"""The record schema: identity, packing, and what is refused."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from functools import reduce
from typing import Any

import numpy as np
import pytest

from quantdg.bench.results.latency import Latency
from quantdg.bench.results.record import SCHEMA, Labels, Record, Row, Sizes, fingerprint, pack_bits, unpack_bits
from quantdg.core.errors import RecordError

LABELS = Labels("pacs", "art", 0, "erm", "lsq", "W7", "cnn", "small")
SETTINGS = {"seed": 0, "target": "art", "quantizer": {"name": "lsq", "options": {"lr_ratio": 0.1, "rules": ["a", "b"]}}}


def record(**change: Any) -> Record:
    """A whole record."""
    row = Row(50, 0.75, 0.5, {"photo": 0.9}, 0.3, pack_bits(np.arange(8) < 6))
    fields: dict[str, Any] = {"rows": {"iid": row}, "sizes": Sizes(10, 5, 3, 1, 1), "target_count": 8, **change}
    return Record(fingerprint(SETTINGS), "done", LABELS, SETTINGS, **fields)


def _shuffled(value: Any, rng: random.Random) -> Any:
    if not isinstance(value, dict):
        return value
    names = list(value)
    rng.shuffle(names)
    return {name: _shuffled(value[name], rng) for name in names}


@pytest.mark.parametrize("seed", range(5))
def test_fingerprint_does_not_depend_on_order(seed: int) -> None:
    mixed = _shuffled({**SETTINGS, "a": 1, "b": 2, "c": {"d": 3, "e": 4}}, random.Random(seed))
    assert fingerprint(mixed) == fingerprint({**SETTINGS, "a": 1, "b": 2, "c": {"d": 3, "e": 4}})


@pytest.mark.parametrize("other", [{"seed": 1}, {"target": "photo"}, {"quantizer": {"name": "lsq"}}, {"new": None}])
def test_fingerprint_changes_with_every_setting(other: dict[str, Any]) -> None:
    assert fingerprint({**SETTINGS, **other}) != fingerprint(SETTINGS)


def test_fingerprint_is_fixed_for_good() -> None:
    assert fingerprint({"b": [1, 2.5, "x"], "a": None}) == "cacedc786abc936f"


def test_fingerprint_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint({"lr": float("nan")})


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000])
def test_pack_bits_round_trip(count: int) -> None:
    correct = np.random.default_rng(count).random(count) < 0.7
    assert np.array_equal(unpack_bits(pack_bits(correct), count), correct)


def test_packed_correctness_of_10000_examples_is_small() -> None:
    assert len(pack_bits(np.ones(10_000, dtype=bool))) < 1700


def test_json_round_trip() -> None:
    assert Record.from_json(record().to_json()) == record()
    bare = Record(16 * "f", "failed", LABELS, SETTINGS, "loss is nan at step 30")
    assert Record.from_json(bare.to_json()) == bare


def test_a_number_that_is_not_finite_is_never_written() -> None:
    with pytest.raises(RecordError, match=r"finite numbers only, but timings\.total_s is inf$"):
        record(timings={"total_s": float("inf")}).to_json()
    with pytest.raises(RecordError, match=r"plan\.sites\.0\.scale is -inf, noise\.conv\.1 is nan$"):
        record(noise={"conv": [0.1, float("nan")]}, plan={"sites": [{"scale": float("-inf")}]}).to_json()


def test_a_file_of_equal_content_is_equal_to_the_byte() -> None:
    whole = record(
        curve=[{"step": 90, "train_loss": 5e-05}],
        plan={"sites": [{"name": "conv é 漢"}], "skipped": [], "large": 1e22},
        audit={"conv": {"levels_used": 45, "noise_to_signal": 0.5, "saturation": None}},
        timings={"total_s": 1.0},
    )
    text = json.dumps(asdict(whole), indent=1, allow_nan=False)
    assert whole.to_json() == text
    assert Record.from_json(text).to_json() == text


def _changed(path: str, value: Any) -> str:
    """The text of a whole record with another value at ``path``."""
    raw = json.loads(record().to_json())
    *folders, last = path.split(".")
    reduce(lambda inner, name: inner[name], folders, raw)[last] = value
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("rows.iid.step", "50", r"Expected `int`, got `str` - at `\$\.rows\[\.\.\.\]\.step`"),
        ("rows.iid.target_in", None, r"Expected `float`, got `null` - at `\$\.rows\[\.\.\.\]\.target_in`"),
        ("labels.seed", 0.5, r"Expected `int`, got `float` - at `\$\.labels\.seed`"),
        ("timings", {"total_s": "1"}, r"Expected `float`, got `str` - at `\$\.timings\[\.\.\.\]`"),
        ("sizes", 3, r"Expected `object \| null`, got `int` - at `\$\.sizes`"),
        ("surprise", 1, r"unknown field `surprise`"),
        ("labels.surprise", 1, r"unknown field `surprise` - at `\$\.labels`"),
        ("rows.iid.surprise", 1, r"unknown field `surprise` - at `\$\.rows\[\.\.\.\]`"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_field(path: str, value: Any, said: str) -> None:
    with pytest.raises(RecordError, match=rf"x\.json is not a whole record \(.*{said}"):
        Record.from_json(_changed(path, value), "x.json")


@pytest.mark.parametrize("name", ["key", "status", "labels", "settings", "rows", "sizes", "schema"])
def test_a_record_without_what_all_have_is_refused(name: str) -> None:
    raw = json.loads(record().to_json())
    del raw[name]
    with pytest.raises(RecordError, match=f"missing required field `{name}`"):
        Record.from_json(json.dumps(raw))


def test_a_record_of_before_noise_and_flatness_were_kept_is_read() -> None:
    raw = json.loads(record().to_json())
    del raw["noise"], raw["flatness"]
    assert Record.from_json(json.dumps(raw)) == record()


def test_another_schema_is_refused_with_both_numbers() -> None:
    text = json.dumps({**asdict(record()), "schema": SCHEMA + 1})
    with pytest.raises(
        RecordError, match=rf"x.json has schema {SCHEMA + 1}, this version reads 1 and {SCHEMA}; run it again"
    ):
        Record.from_json(text, "x.json")


def test_another_status_is_refused() -> None:
    text = json.dumps({**asdict(record()), "status": "fine"})
    with pytest.raises(RecordError, match="status 'fine', which is none of done, failed, unsupported, unavailable"):
        Record.from_json(text)


def test_a_record_without_a_role_has_the_one_of_its_name() -> None:
    raw = json.loads(record().to_json())
    del raw["role"], raw["meaning"]
    raw["labels"]["quantizer"] = "uniform_noise"
    old = Record.from_json(json.dumps(raw))
    assert (old.role, old.meaning) == ("control", "noise of the same size")
    assert Record.from_json(old.to_json()) == old


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(RecordError, match=r"role must be one of baseline, control, method, got 'judge'"):
        record(role="judge")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_record_cut_off_anywhere_is_refused(share: float) -> None:
    text = record().to_json()
    with pytest.raises(RecordError, match=r"x\.json is not a whole record"):
        Record.from_json(text[: int(share * len(text))], "x.json")


@pytest.mark.parametrize("text", ["[]", "null", "3", '{"schema": 1}', '{"schema": 1, "status": "done", "labels": 1}'])
def test_json_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        Record.from_json(text)


def test_latency_round_trip_and_refusal() -> None:
    latency = Latency(16 * "f", LABELS, "torch eager", "float32", 1, 2, 32, 4.0, 3.5, 4.5, 20, 1.25, {"cpu": "X"})
    assert Latency.from_json(latency.to_json()) == latency
    with pytest.raises(RecordError, match=r"y\.json is not a whole latency record"):
        Latency.from_json(latency.to_json()[:-20], "y.json")
    with pytest.raises(RecordError, match=r"y\.json has schema 99, this version reads 1; measure it again"):
        Latency.from_json(json.dumps({**asdict(latency), "schema": 99}), "y.json")
    with pytest.raises(RecordError, match=r"unknown field `surprise`"):
        Latency.from_json(json.dumps({**asdict(latency), "surprise": 1}), "y.json")
    with pytest.raises(RecordError, match=r"finite numbers only, but ratio is nan"):
        replace(latency, ratio=float("nan")).to_json()
