"""Which cells run again: every state under every rule."""

import pytest

from quantdg.bench.records import Labels
from quantdg.bench.sweep.choose import Choice, check_force, path_of
from quantdg.core.errors import ConfigError

CELL = Labels("digits", "thick", 0, "erm", "lsq", "W7", "convnet", "digits")
STATES = ("missing", "damaged", "done", "failed", "unsupported", "unavailable")


@pytest.mark.parametrize(
    ("choice", "run"),
    [
        (Choice(), {"missing", "damaged", "unavailable"}),
        (Choice(retry="failed"), {"missing", "damaged", "unavailable", "failed"}),
        (Choice(overwrite="never"), {"missing"}),
        (Choice(overwrite="always"), set(STATES)),
        (Choice(force=("*/lsq/*",)), set(STATES)),
        (Choice(force=("0123*",)), set(STATES)),
        (Choice(force=("*/pact/*",)), {"missing", "damaged", "unavailable"}),
    ],
)
def test_choices_and_states(choice, run):
    assert {state for state in STATES if choice.runs("0123456789abcdef", CELL, state)} == run


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overwrite": "sometimes"}, "overwrite must be one of only-missing, never, always, got 'sometimes'"),
        ({"retry": "done"}, "retry must be failed, got 'done'; for other cells write force=PATTERN"),
        ({"overwrite": "never", "retry": "failed"}, "contradict it; leave one out"),
        ({"overwrite": "never", "force": ("x",)}, "contradict it; leave one out"),
    ],
)
def test_wrong_choices_say_what_to_write(settings, message):
    with pytest.raises(ConfigError, match=message):
        Choice(**settings)


def test_a_pattern_that_names_nothing_is_an_error():
    assert path_of(CELL) == "digits/thick/0/erm/lsq/W7"
    check_force(Choice(force=("*lsq*",)), {"k": CELL})
    with pytest.raises(ConfigError, match=r"force=lsq names no cell .* force=digits/thick/0/erm/lsq/W7"):
        check_force(Choice(force=("lsq",)), {"k": CELL})
