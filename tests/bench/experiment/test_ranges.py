"""The ranges that stand beside settings: each names a setting, and its ends can be built."""

from typing import Any

import pytest
import torch

from quantdg.bench.experiment.component import import_object
from quantdg.bench.experiment.describe import describe
from quantdg.bench.experiment.offers import COMPONENTS, find_offer, own_files, own_settings
from quantdg.bench.experiment.protocol import protocol_ranges
from quantdg.bench.experiment.signature import free_parameters
from quantdg.bench.experiment.type_check import check_types, hints_of
from quantdg.bench.models.convnet import convnet
from quantdg.core.errors import MissingPackageError
from quantdg.core.ranges import Log, Ranges, ranges_of
from quantdg.quantizers.base import LEARNING_RATE


def declared() -> dict[tuple[str, str], Ranges]:
    found = {}
    for group in COMPONENTS:
        for name in own_files(group):
            try:
                found[group, name] = ranges_of(import_object(find_offer(group, name).target))
            except MissingPackageError:
                continue
    return {part: ranges for part, ranges in found.items() if ranges}


DECLARED = declared()


def build(group: str, name: str, **options: Any) -> object:
    listed = own_settings(group, name)
    for taken in ("spec", "name"):
        listed.pop(taken, None)
    part, settings = import_object(find_offer(group, name).target), {**listed, **options}
    if group == "algorithm":
        return part(convnet((3, 16, 16), 3, width=4), 3, lambda p: torch.optim.Adam(p, lr=1e-3), **settings)
    return part(**settings)


@pytest.mark.parametrize(("group", "name"), sorted(DECLARED))
def test_every_range_is_of_a_setting_and_its_ends_are_accepted(group: str, name: str) -> None:
    part = import_object(find_offer(group, name).target)
    for setting, values in DECLARED[group, name].items():
        assert setting in free_parameters(group, part)
        for value in values.ends:
            check_types(name, hints_of(part), {setting: value})
            build(group, name, **{setting: value})


def test_what_domainbed_searches_is_searched() -> None:
    named = {name for group, name in DECLARED if group in ("algorithm", "transform", "step_rule")}
    assert named == {
        "cdann", "coral", "dann", "eqrm", "fish", "fishr", "groupdro", "irm", "mixup", "mldg", "mmd", "mtl", "rsc",
        "sagnet", "sam", "sd", "vrex",
    }  # fmt: skip


def test_a_quantizer_that_lists_its_learning_rate_lets_a_search_set_it() -> None:
    named = {name for group, name in DECLARED if group == "quantizer"}
    assert {"lsq", "pact", "duq", "apot", "ewgs", "toggle"} <= named
    assert not named & {"float", "freeze", "min_max", "dorefa", "mse"}
    assert DECLARED["quantizer", "lsq"] == LEARNING_RATE


def test_the_ranges_of_the_protocol_follow_the_size_of_images() -> None:
    assert protocol_ranges(28)["lr"] == Log(10**-4.5, 10**-2.5)
    assert protocol_ranges(224)["lr"] == Log(1e-5, 10**-3.5)
    assert "weight_decay" not in protocol_ranges(32)


def test_show_says_what_a_search_sets() -> None:
    assert "set by a search (search.trials=20): gamma 0.1 to 10, logarithmic" in describe("algorithm", "coral")
    assert "larger images: lr 1e-05 to 0.000316228, logarithmic; batch_size 8 to 45, logarithmic" in describe(
        "protocol", "qtdog"
    )
    assert "set by a search" not in describe("algorithm", "erm")
