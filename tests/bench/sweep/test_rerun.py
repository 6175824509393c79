"""Which cells run again: every state under every rule."""

import pytest

from quantdg.bench.results.record import Labels
from quantdg.bench.sweep.rerun import RerunPolicy, check_force
from quantdg.core.errors import ConfigError

CELL = Labels("digits", "thick", 0, "erm", "lsq", "W7", "convnet", "digits")
STATES = ("missing", "damaged", "done", "failed", "unsupported", "unavailable")


@pytest.mark.parametrize(
    ("policy", "run"),
    [
        (RerunPolicy(), {"missing", "damaged", "unavailable"}),
        (RerunPolicy(retry="failed"), {"missing", "damaged", "unavailable", "failed"}),
        (RerunPolicy(overwrite="never"), {"missing"}),
        (RerunPolicy(overwrite="always"), set(STATES)),
        (RerunPolicy(force=("*/lsq/*",)), set(STATES)),
        (RerunPolicy(force=("0123*",)), set(STATES)),
        (RerunPolicy(force=("*/pact/*",)), {"missing", "damaged", "unavailable"}),
    ],
)
def test_choices_and_states(policy, run):
    assert {state for state in STATES if policy.runs("0123456789abcdef", CELL, state)} == run


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
        RerunPolicy(**settings)


def test_a_pattern_that_names_nothing_is_an_error():
    assert CELL.path == "digits/thick/0/erm/lsq/W7"
    check_force(RerunPolicy(force=("*lsq*",)), {"k": CELL})
    with pytest.raises(ConfigError, match=r"force=lsq names no cell .* force=digits/thick/0/erm/lsq/W7"):
        check_force(RerunPolicy(force=("lsq",)), {"k": CELL})
