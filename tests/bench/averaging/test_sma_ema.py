"""Running and exponential means by hand, fed one number a step."""

import copy

import pytest
import torch

from quantdg.bench.averaging.ema import EMA
from quantdg.bench.averaging.sma import SMA
from quantdg.core.errors import ConfigError


def feed(average, values):
    for step, value in enumerate(values, 11):
        weights = {"w": torch.tensor([float(value), -float(value)])}
        average.after_step(step, weights)
        average.at_check(step, 0.0)
        weights["w"].zero_()  # training goes on in place
    return average


def value(average):
    step, weights = average.result()
    assert list(weights) == ["w"]
    assert torch.equal(weights["w"][0], -weights["w"][1])
    return step, float(weights["w"][0])


def test_sma_is_the_mean_from_its_start_on():
    values = [5.0, 3.0, 1.0, 4.0, 7.0]
    assert value(feed(SMA(start=3), values)) == (15, pytest.approx((1 + 4 + 7) / 3))
    assert value(feed(SMA(start=1), values)) == (15, pytest.approx(4))


def test_sma_before_its_start_is_the_latest_iterate():
    assert value(feed(SMA(), [5.0, 3.0])) == (12, 3.0)
    assert value(feed(SMA(start=2), [5.0, 3.0])) == (12, 3.0)


def test_sma_of_many_steps_is_the_running_mean_of_the_paper():
    values = torch.randn(250, generator=torch.Generator().manual_seed(0)).tolist()
    mean, count = 0.0, 0
    for iterate in values[99:]:
        mean, count = (count * mean + iterate) / (count + 1), count + 1
    assert value(feed(SMA(), values))[1] == pytest.approx(mean, abs=1e-6)


def test_ema_by_hand():
    assert value(feed(EMA(decay=0.5), [8.0, 4.0, 2.0])) == (13, pytest.approx(0.5 * (0.5 * 8 + 0.5 * 4) + 0.5 * 2))
    assert value(feed(EMA(decay=0.0), [8.0, 4.0, 2.0])) == (13, 2.0)
    assert value(feed(EMA(), [8.0])) == (11, 8.0)


@pytest.mark.parametrize("build", [lambda: SMA(start=3), lambda: EMA(decay=0.9)])
def test_an_interrupted_average_goes_on_with_the_same_bits(build):
    values = [5.0, 3.0, 1.0, 4.0, 7.0, 0.3]
    whole, half = feed(build(), values), feed(build(), values[:4])
    resumed = build()
    resumed.restore(copy.deepcopy(half.state()))
    for step, v in enumerate(values[4:], 15):
        resumed.after_step(step, {"w": torch.tensor([v, -v])})
    assert value(whole) == value(resumed)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SMA, {"start": 0}, "averaging.sma.start must be at least 1, got 0; the paper uses 100"),
        (EMA, {"decay": 1.0}, "averaging.ema.decay must be at least 0 and below 1, got 1.0"),
    ],
)
def test_wrong_settings_are_answered_with_what_to_write(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        kind(**options)
