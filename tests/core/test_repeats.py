"""A list in which something is named twice is an error that says what, wherever a list is taken."""

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.deploy import DeploySettings
from quantdg.core.errors import ConfigError
from quantdg.core.repeats import refuse_repeats


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["photo", "photo", "sketch"], r"got photo twice; write 'x=\[photo,sketch\]"),
        ([0, 4, 0], r"got 0 twice; write 'x=\[0,4\]"),
        ([1, 2, 1.0], r"got 1 twice; write 'x=\[1,2\]"),
        ([None, 4, None], r"got null twice; write 'x=\[null,4\]"),
    ],
)
def test_the_repeated_entry_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        refuse_repeats("x", values)


def test_entries_that_mean_the_same_are_both_named():
    with pytest.raises(ConfigError, match=r"got 0 and 360, which are the same; write 'x=\[0,15\]"):
        refuse_repeats("x", [0, 15, 360], lambda angle: angle % 360)


@pytest.mark.parametrize("values", [[], [0], ["a", "b"], [0, 1, None]])
def test_a_list_without_repeats_is_fine(values):
    refuse_repeats("x", values)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("seeds=[0,0]", "seeds"),
        ("targets=[thick,faint,thick]", "targets"),
        ("start_steps=[40,40]", "start_steps"),
        ("bits=[4,4]", "bits"),
        ("act_bits=[null,null]", "act_bits"),
        ("quantizer=[lsq,lsq]", "quantizer"),
        ("algorithm=[erm,coral,erm]", "algorithm"),
        ("averaging=[sma,sma]", "averaging"),
        ("protocol.weight_decay=[0,0.0]", "protocol.weight_decay"),
        ("protocol.lr=[1e-3,0.001]", "protocol.lr"),
        ("transform=[mixup,mixup]", "transform"),
        ("flatness=quick flatness.radii=[0.01,1e-2]", "flatness.radii"),
        ("flatness=quick flatness.rhos=[1,1.0]", "flatness.rhos"),
        ("deploy=openvino deploy.runtimes=[openvino,openvino]", "deploy.runtimes"),
        ("deploy=openvino deploy.batches=[1,1]", "deploy.batches"),
    ],
)
def test_every_list_of_the_command_line(words, name):
    with pytest.raises(ConfigError, match=rf"{name} must name each entry once, got .* twice; write '{name}=\["):
        config.load(words.split())


def test_settings_made_in_python():
    with pytest.raises(ConfigError, match=r"deploy\.batches must name each entry once"):
        DeploySettings(batches=(1, 32, 1))
