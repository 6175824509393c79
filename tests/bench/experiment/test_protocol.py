"""A protocol is checked once and says when a model is evaluated."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from quantdg.bench.experiment.protocol import Protocol, train_mode
from quantdg.core.errors import ConfigError

GOOD = Protocol("p", 10, 4, 4, 8, 1e-3, 0.0, 0.2, "frozen", "none", 1, 8)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"start_step": 10}, "below protocol.steps, got 10 of 10; write for example protocol.start_step=4"),
        ({"start_step": -1}, "at least 0"),
        ({"check_every": 0}, "protocol.check_every must be at least 1, got 0"),
        ({"batch_size": 0}, "protocol.batch_size"),
        ({"first_check": 5}, "protocol.first_check must be null or from 1 to protocol.check_every, 4, got 5"),
        ({"first_check": 0}, "protocol.first_check"),
        ({"holdout": 1.0}, "between 0 and 1"),
        ({"lr": 0.0}, "protocol.lr must be above 0"),
        ({"bn": "thawed"}, "got 'thawed'"),
    ],
)
def test_wrong_values_are_refused_with_what_to_write(bad, message):
    with pytest.raises(ConfigError, match=message):
        replace(GOOD, **bad)


def test_checks_come_after_the_quantization_step_and_at_the_end():
    assert [s for s in range(1, 11) if GOOD.is_check(s)] == [8, 10]


def test_the_first_check_may_come_after_the_first_step():
    early = replace(GOOD, first_check=1)
    assert [s for s in range(1, 11) if early.is_check(s)] == [5, 9, 10]
    assert replace(GOOD, first_check=4).settings == GOOD.settings
    assert early.settings == {**GOOD.settings, "first_check": 1}


def test_train_mode_freezes_statistics_only_where_asked():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.Dropout())
    x = torch.randn(4, 1, 2, 2)
    train_mode(network, freeze_bn=True)
    network(x)
    assert float(network[1].running_mean) == 0
    assert network[2].training
    train_mode(network, freeze_bn=False)
    network(x)
    assert float(network[1].running_mean) != 0
