"""Which cells run again: every state under every rule."""

import pytest

from quantdg.bench.records import Labels
from quantdg.bench.sweep.choose import Rules, check_force, path_of
from quantdg.core.errors import ConfigError

CELL = Labels("digits", "thick", 0, "erm", "lsq", "W7", "convnet", "digits")
STATES = ("missing", "damaged", "done", "failed", "unsupported", "unavailable")


@pytest.mark.parametrize(
    ("rules", "run"),
    [
        (Rules(), {"missing", "damaged", "unavailable"}),
        (Rules(retry="failed"), {"missing", "damaged", "unavailable", "failed"}),
        (Rules(overwrite="never"), {"missing"}),
        (Rules(overwrite="always"), set(STATES)),
        (Rules(force=("*/lsq/*",)), set(STATES)),
        (Rules(force=("0123*",)), set(STATES)),
        (Rules(force=("*/pact/*",)), {"missing", "damaged", "unavailable"}),
    ],
)
def test_rules_and_states(rules, run):
    assert {state for state in STATES if rules.runs("0123456789abcdef", CELL, state)} == run


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overwrite": "sometimes"}, "overwrite must be one of only-missing, never, always, got 'sometimes'"),
        ({"retry": "done"}, "retry must be failed, got 'done'; for other cells write force=PATTERN"),
        ({"overwrite": "never", "retry": "failed"}, "contradict it; leave one out"),
        ({"overwrite": "never", "force": ("x",)}, "contradict it; leave one out"),
    ],
)
def test_wrong_rules_say_what_to_write(settings, message):
    with pytest.raises(ConfigError, match=message):
        Rules(**settings)


def test_a_pattern_that_names_nothing_is_an_error():
    assert path_of(CELL) == "digits/thick/0/erm/lsq/W7"
    check_force(Rules(force=("*lsq*",)), {"k": CELL})
    with pytest.raises(ConfigError, match=r"force=lsq names no cell .* force=digits/thick/0/erm/lsq/W7"):
        check_force(Rules(force=("lsq",)), {"k": CELL})
