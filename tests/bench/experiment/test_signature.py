"""The settings of a part are read from its signature, through what it inherits, with what its docstrings say."""

from __future__ import annotations

from typing import Any

import pytest

from quantdg.bench.experiment.signature import parameters_of, settings_of
from quantdg.bench.experiment.type_check import check_settings
from quantdg.core.errors import ConfigError, UnknownNameError
from quantdg.quantizers.lsq import LSQ


class Mine(LSQ):
    """This quantizer has a setting of its own.

    Args:
        pull: how strongly it pulls,
            at least 0.
    """

    def __init__(self, *args: Any, pull: float = 0.5, **options: Any) -> None:
        super().__init__(*args, **options)
        self.pull = pull


def network(shape: tuple[int, ...], classes: int, depth: int, *, wide: bool = False) -> None:
    """Build a network."""


def anything(**options: Any) -> None:
    """Take whatever there is."""


def test_keywords_that_are_passed_on_are_those_of_the_parent() -> None:
    settings = settings_of("quantizer", Mine)
    assert list(settings) == ["pull", "lr_ratio", "averaged", "scale_factor", "start", "gradient", "offset"]
    assert settings["pull"].default == 0.5
    assert settings["pull"].meaning == "how strongly it pulls, at least 0."
    assert settings["lr_ratio"].meaning.startswith("learning rate of the quantizer's parameters over the base rate")
    assert "at the same number of codes" in settings["scale_factor"].meaning


def test_what_the_harness_hands_over_is_no_setting() -> None:
    assert list(settings_of("model", network)) == ["depth", "wide"]
    check_settings("net", network, {"depth": 3, "wide": True}, "model")
    with pytest.raises(UnknownNameError, match="no setting of net named 'classes'"):
        check_settings("net", network, {"classes": 3}, "model")
    with pytest.raises(UnknownNameError, match="no setting of mine named 'spec'"):
        check_settings("mine", Mine, {"spec": None}, "quantizer")


def test_an_unknown_keyword_is_refused_though_the_class_passes_keywords_on() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'lr_ratio'"):
        check_settings("mine", Mine, {"lr_ration": 1.0}, "quantizer")
    with pytest.raises(ConfigError, match=r"mine\.lr_ratio must be a number, got 'x'"):
        check_settings("mine", Mine, {"lr_ratio": "x"}, "quantizer")


def test_a_function_that_takes_anything_is_asked_nothing() -> None:
    assert parameters_of(anything) == ({}, True)
    check_settings("any", anything, {"x": 1})
