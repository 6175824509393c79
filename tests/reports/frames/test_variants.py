"""Cells that only look alike are told apart and never averaged together."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.errors import RecordError
from quantdg.quantizers.spec import QuantSpec, Rule
from quantdg.reports.frames import gains
from quantdg.reports.frames.cube import Cube
from quantdg.reports.frames.results import load
from quantdg.reports.frames.variants import flatten, identity

Make = Callable[..., Record]


def _gains(cells: pd.DataFrame) -> dict[str, float]:
    return {method[1]: round(float(values.mean()), 6) for method, values in gains.over_float(Cube.of(cells))}


def test_protocols_models_and_data_sets_are_sections_of_their_own(store: RunStore, make: Make) -> None:
    for change in ({}, {"protocol": "large"}, {"model": "resnet18"}, {"dataset": "vlcs"}):
        store.write(make(rows={"iid": 0.5}, **change))
    assert [section for section, _ in load(store.root).sections()] == [
        ("pacs", "cnn", "large"),
        ("pacs", "cnn", "small"),
        ("pacs", "resnet18", "small"),
        ("vlcs", "cnn", "small"),
    ]


@pytest.mark.parametrize("change", [{"protocol": "large"}, {"model": "resnet18"}])
def test_cells_of_two_protocols_in_one_average_are_an_error(
    store: RunStore, make: Make, change: dict[str, str]
) -> None:
    store.write(make(rows={"iid": 0.5}))
    store.write(make(seed=1, rows={"iid": 0.6}, **change))
    with pytest.raises(RecordError, match="cells of one average must share model and protocol, got cnn, "):
        Cube.of(load(store.root).cells)


def test_other_quantizer_settings_make_another_quantizer(store: RunStore, make: Make) -> None:
    store.write(make(rows={"iid": 0.5}))
    for ratio in (0.1, 1.0):
        settings = {"quantizer": {"name": "lsq", "options": {"lr_ratio": ratio}}}
        store.write(make(quantizer="lsq", rows={"iid": 0.5 + ratio / 10}, settings=settings))
    assert _gains(load(store.root).cells) == {"lsq (lr_ratio=0.1)": 1.0, "lsq (lr_ratio=1.0)": 10.0}


def test_layer_rules_are_shown_as_what_they_change(store: RunStore, make: Make) -> None:
    """A record has null where a rule leaves the spec's value, and a reader takes null for float inputs."""
    rules = [(Rule("first", act_bits=None),), (Rule("first", weight_bits=8), Rule("fc*", skip=True)), ()]
    for own in rules:
        settings = {"quantizer": {"name": "lsq", "spec": QuantSpec(4, 4, rules=own).identity}}
        store.write(make(quantizer="lsq", rows={"iid": 0.5}, settings=settings))
    assert set(load(store.root).cells["quantizer"]) == {
        "lsq (rules=[first act_bits=float])",
        "lsq (rules=[first weight_bits=8, fc* skip])",
        "lsq (rules=[])",
    }


@pytest.mark.parametrize("rules", ["odd", "[1]", [1], [["x"]], [{}], [{"pattern": "a"}, {"skip": None}], None, 3])
def test_rules_of_a_strangers_record_are_shown_as_they_are(store: RunStore, make: Make, rules: object) -> None:
    for own in (rules, []):
        settings = {"quantizer": {"name": "lsq", "spec": {"rules": own}}}
        store.write(make(quantizer="lsq", rows={"iid": 0.5}, settings=settings))
    assert load(store.root).cells["quantizer"].nunique() == 2


def test_rules_that_would_be_shown_alike_are_shown_whole(store: RunStore, make: Make) -> None:
    for rule in ({"pattern": "a"}, {"pattern": "a", "skip": False}):
        settings = {"quantizer": {"name": "lsq", "spec": {"rules": [rule]}}}
        store.write(make(quantizer="lsq", rows={"iid": 0.5}, settings=settings))
    assert load(store.root).cells["quantizer"].nunique() == 2


def test_they_are_told_apart_across_seeds_too(store: RunStore, make: Make) -> None:
    for seed, ratio in enumerate((0.1, 1.0)):
        settings = {"quantizer": {"name": "lsq", "options": {"lr_ratio": ratio}}}
        store.write(make(seed=seed, quantizer="lsq", rows={"iid": 0.5}, settings=settings))
    assert load(store.root).cells["quantizer"].nunique() == 2


def test_another_schedule_under_the_same_protocol_name_is_another_section(store: RunStore, make: Make) -> None:
    for start in (20, 40):
        for quantizer, value in (("float", 0.5), ("lsq", 0.5 + start / 1000)):
            settings = {"protocol": {"name": "small", "start_step": start}}
            store.write(make(quantizer=quantizer, rows={"iid": value}, settings=settings))
    sections = {section[2]: _gains(cells) for section, cells in load(store.root).sections()}
    assert sections == {"small (start_step=20)": {"lsq": 2.0}, "small (start_step=40)": {"lsq": 4.0}}


def test_a_data_set_that_was_run_once_stands_beside_what_was_run_as_it_was(store: RunStore, make: Make) -> None:
    """Not beside another step rule that only the other one has."""
    for dataset, rules in (("pacs", ("plain", "sam")), ("vlcs", ("plain",))):
        for rule in rules:
            more = {} if rule == "plain" else {"step_rule": {"name": rule}}
            store.write(make(rows={"iid": 0.5}, dataset=dataset, settings=more))
    (line_up,) = load(store.root).line_ups
    assert line_up.sections == (("pacs", "cnn", "small (name=unset)"), ("vlcs", "cnn", "small (name=unset)"))


def test_other_images_under_the_same_name_are_another_section(store: RunStore, make: Make) -> None:
    """A float row of yesterday's images is no baseline for a quantizer on today's, though no method has both."""
    for quantizer, images in (("float", "a" * 16), ("lsq", "b" * 16)):
        settings = {"dataset": {"name": "pacs", "fingerprint": images}}
        store.write(make(quantizer=quantizer, rows={"iid": 0.5}, settings=settings))
    found = {section[2]: list(cells["quantizer"]) for section, cells in load(store.root).sections()}
    assert found == {
        "small (fingerprint=aaaaaaaaaaaaaaaa)": ["float"],
        "small (fingerprint=bbbbbbbbbbbbbbbb)": ["lsq"],
    }


def test_identity_leaves_out_target_and_seed_only() -> None:
    same = identity({"target": "art", "seed": 0, "quantizer": {"target": "a.B"}})
    assert same == identity({"quantizer": {"target": "a.B"}, "seed": 1, "target": "sketch"})
    assert same != identity({"target": "art", "seed": 0, "quantizer": {"target": "a.C"}})


def test_flatten() -> None:
    assert flatten({"a": {"b": 1, "c": [1, 2]}, "d": None}) == {"a.b": 1, "a.c": "[1, 2]", "d": None}
