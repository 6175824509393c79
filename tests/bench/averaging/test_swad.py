"""Golden vectors: one-hot segments; the reference weights were obtained from the released class."""

import pytest
import torch

from quantdg.bench.averaging.swad import SWAD
from quantdg.core.errors import ConfigError

VALLEY = [2, 1.5, 1.2, 1, 0.9, 0.8, 0.85, 0.9, 0.86, 0.95, 1, 1.02]
DYING = [2, 1.5, 1.2, 1, 0.9, 0.8, 0.85, 0.9, 0.95, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0]
EARLY = [2.3, 0.5, 0.6, 0.55, 0.56, 0.6, 0.62, 0.61, 0.6, 0.6]
LONG = [1.0, 0.8, 0.6, 0.5, 0.45, 0.44, 0.40, 0.41, 0.42, 0.43, 0.44, 0.45, 0.46, 0.47]


def uniform(first, last):
    return [0] * first + [1] * (last - first + 1)


GOLDEN = [
    (VALLEY, "reference", [0, 0, 0, 0, 1, 2, 1, 1, 1, 1, 1, 1]),
    (VALLEY, "paper", uniform(5, 11)),
    (DYING, "reference", [0, 0, 0, 0, 1, 2, 1, 1, 1]),
    (DYING, "paper", uniform(5, 8)),
    (EARLY, "reference", [0, 1, 2, 2, 1, 1, 1, 1, 1, 1]),
    (EARLY, "paper", uniform(1, 9)),
    (LONG, "reference", [0, 0, 0, 0, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1]),
    (LONG, "paper", uniform(6, 13)),
]


def run(losses, variant, values=None):
    swad = SWAD(variant=variant)
    for i, loss in enumerate(losses):
        value = torch.eye(len(losses))[i] if values is None else values[i]
        swad.after_step(i, {"w": value})
        swad.at_check(i, loss)
    return swad.result()[1]["w"]


@pytest.mark.parametrize(("losses", "variant", "counts"), GOLDEN)
def test_weight_of_each_segment(losses, variant, counts):
    expected = torch.zeros(len(losses))
    expected[: len(counts)] = torch.tensor(counts, dtype=torch.float)
    torch.testing.assert_close(run(losses, variant), expected / expected.sum())


@pytest.mark.parametrize(
    ("losses", "threshold", "converged", "dead_at"),
    [(VALLEY, 1.105, 5, None), (DYING, 1.105, 5, 14), (EARLY, 0.715, 1, None), (LONG, 1.3 * 0.41, 6, None)],
)
def test_when_the_reference_converges_and_dies(losses, threshold, converged, dead_at):
    swad, dead = SWAD(variant="reference"), []
    for i, loss in enumerate(losses):
        swad.after_step(i, {"w": torch.zeros(1)})
        swad.at_check(i, loss)
        dead.append(swad._valley.dead)
    assert swad._valley.limit == pytest.approx(threshold)
    assert swad._valley.converge_step == converged
    assert (dead.index(True) if any(dead) else None) == dead_at


def test_running_average_of_the_reference():
    final = run(LONG, "reference", [torch.tensor(float(i)) for i in range(len(LONG))])
    assert float(final) == pytest.approx(8.2727, abs=1e-4)


def test_never_converged():
    falling = [1 / (i + 1) for i in range(8)]
    torch.testing.assert_close(run(falling, "paper"), torch.full((8,), 1 / 8))
    torch.testing.assert_close(run(falling, "reference"), torch.eye(8)[7])


def test_a_segment_is_the_mean_of_its_iterates():
    swad = SWAD()
    for step in range(4):
        swad.after_step(step, {"w": torch.tensor(float(step))})
    swad.at_check(3, 1.0)
    assert float(swad.result()[1]["w"]) == 1.5


def test_the_training_weights_are_left_alone():
    weight = torch.ones(3)
    swad = SWAD()
    swad.after_step(0, {"w": weight})
    weight += 1
    swad.after_step(1, {"w": weight})
    swad.at_check(1, 1.0)
    assert swad.result()[1]["w"].tolist() == [1.5] * 3
    assert weight.tolist() == [2.0] * 3


@pytest.mark.parametrize("bad", [{"n_converge": 0}, {"n_tolerance": 0}, {"tolerance": 0}])
def test_settings_are_checked(bad):
    with pytest.raises(ConfigError):
        SWAD(**bad)
