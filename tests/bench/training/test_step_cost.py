"""Cost of a training step over float, sorted: every quantizer that is installed, and every step rule over LSQ.

The asserted bounds guard against a blunder. Run with:
pytest -m speed tests/bench/training/test_step_cost.py -s --benchmark-json=speed.json
"""

from typing import Any

import pytest

from quantdg.bench.experiment.catalogue import unusable_reason
from quantdg.bench.experiment.offers import offers
from quantdg.bench.training.step_cost import step_costs

FURTHER = {"gradient_l1 by double backward": ("step_rule=gradient_l1", "step_rule.form=double_backward")}


def contenders() -> dict[str, tuple[str, ...]]:
    """What is to be written on a command line, by the name of a row."""
    found = {name: (f"quantizer=[{name}]",) for name in sorted(offers("quantizer")) if not unusable_reason(name)}
    del found["float"]
    rules = {name: (f"step_rule={name}",) for name in sorted(offers("step_rule")) if name != "plain"} | FURTHER
    return found | {f"lsq + {name}": ("quantizer=[lsq]", *words) for name, words in rules.items()}


@pytest.mark.speed
@pytest.mark.filterwarnings("ignore:'saved_variables' is deprecated")
def test_what_a_step_of_each_method_costs_over_float(benchmark: Any) -> None:
    cost = dict(sorted(step_costs(contenders()).items(), key=lambda item: item[1]))
    benchmark.extra_info |= {"ratio_to_float": cost}
    benchmark.pedantic(lambda: None, rounds=1)
    print("\n" + "\n".join(f"{ratio:6.2f}  {name}" for name, ratio in cost.items()))
    assert all(0.3 < ratio < (8 if " + " in name else 4) for name, ratio in cost.items()), cost


def test_two_passes_cost_more_than_one() -> None:
    costs = step_costs({"freeze": ("quantizer=[freeze]",), "sam": ("quantizer=[float]", "step_rule=sam")})
    assert list(costs) == ["freeze", "sam"]
    assert costs["freeze"] < costs["sam"]
