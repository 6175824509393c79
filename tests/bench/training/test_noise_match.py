"""Matched noise and start steps as they are configured, and the cell that comes of it."""

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.component import QuantizerComponent
from quantdg.bench.experiment.noise_match import MatchRule, read_match
from quantdg.bench.sweep.session import load_and_plan
from quantdg.bench.training.float_phase import build
from quantdg.bench.training.noise_match import match_cell
from quantdg.core.errors import ConfigError
from quantdg.quantizers.noise_matching import UnmatchedError
from quantdg.quantizers.spec import QuantSpec


def component(name, spec):
    return QuantizerComponent(name, f"quantdg.quantizers.{name}", {}, spec=spec)


LSQ, FLOAT = component("lsq", QuantSpec(7)), component("float", None)


def find(name):
    return {"lsq": LSQ, "float": FLOAT}[name]


@pytest.mark.parametrize(
    ("to", "rule"),
    [("lsq", MatchRule(like=LSQ)), (0.058, MatchRule(noise=0.058)), ("noise is off", None)],
)
def test_a_rule_as_it_is_written(to, rule):
    assert read_match(None if rule is None else "noise", to, None, find) == rule


@pytest.mark.parametrize(
    ("match", "to", "bits", "message"),
    [
        ("bits", "lsq", None, "match must be null or noise, got 'bits'"),
        ("noise", "lsq", 7, r"match=noise chooses the bits, got bits=7; write bits=null"),
        ("noise", 1.0, None, r"a noise between 0 and 1, got 1\.0"),
        ("noise", True, None, "a noise between 0 and 1, got True"),
        ("noise", None, None, "a noise between 0 and 1, got None"),
        ("noise", "float", None, "match_to must be a quantizer with bits, got 'float'"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(match, to, bits, message):
    with pytest.raises(ConfigError, match=message):
        read_match(match, to, bits, find)


def test_the_reference_and_what_has_no_bits_are_not_matched():
    rule = MatchRule(like=LSQ)
    assert [rule.applies(q) for q in (LSQ, FLOAT, component("lsq", QuantSpec(4)))] == [False, False, True]
    assert rule.label(QuantSpec(4)) == "N=lsq"
    assert MatchRule(noise=0.058).label(QuantSpec(4, 8)) == "N=0.058 A8"


def test_matched_cells_are_cells_of_their_own_and_the_others_are_shared():
    matched = load_and_plan(config.load(["quantizer=[float,lsq,torch_ao]", "match=noise", "match_to=lsq", "seeds=1"]))
    plain = load_and_plan(config.load(["quantizer=[float,lsq,torch_ao]", "seeds=1"]))
    shared = {c.key for c in matched} & {c.key for c in plain}
    assert {c.labels.quantizer for c in plain if c.key in shared} == {"float", "lsq"}
    assert {(c.labels.quantizer, c.labels.bits) for c in matched if c.key not in shared} == {("torch_ao", "N=lsq")}


def measured(network, quantizer, batch):
    """Mean over layers of std(w_q - w) / std(w), from what the quantizer would deploy."""
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    quantizer.prepare(network, batch)
    quantizer.calibrate(network, [batch])
    sites = quantizer.export(network)
    found = []
    for name, site in sites.items():
        w = before[f"{name}.weight"]
        found.append(float((site.weight.dequantize() - w).std() / w.std()))
    return sum(found) / len(found)


@pytest.mark.parametrize("to", ["lsq", "0.03"])
@pytest.mark.parametrize("name", ["torch_ao", "round_freeze"])
def test_a_matched_cell_has_the_noise_of_its_reference(cell, name, to):
    chosen, data = cell(f"quantizer=[{name}]", "match=noise", f"match_to={to}")
    batch = next(data.calibration())

    def at_start():
        return build(chosen.group, data).network

    changed, found = match_cell(chosen, data, at_start)
    target = float(to) if to != "lsq" else measured(at_start(), chosen.match.like.create(0), batch)
    assert found["target"] == pytest.approx(target, rel=1e-3)
    assert measured(at_start(), changed.quantizer.create(0), batch) == pytest.approx(target, rel=0.051)
    assert changed.quantizer.spec.weight_bits == found["weight_bits"]
    assert changed.quantizer.options.get("scale_factor", 1) == found["scale_factor"]


def test_a_cell_that_is_not_matched_comes_back_as_it_is(cell):
    chosen, data = cell("quantizer=[lsq]")

    def never():
        raise AssertionError("no network is needed")

    assert match_cell(chosen, data, never) == (chosen, {})


def test_a_noise_out_of_reach_names_the_nearest(cell):
    chosen, data = cell("quantizer=[round_freeze]", "match=noise", "match_to=0.0001")
    with pytest.raises(UnmatchedError, match=r"round_freeze must reach noise 0\.0001, its nearest is"):
        match_cell(chosen, data, lambda: build(chosen.group, data).network)


def test_start_steps_are_protocols_of_their_own_each_with_its_float_row():
    cells = load_and_plan(config.load(["quantizer=[float,lsq]", "seeds=1", "targets=[thick]", "start_steps=[20,40]"]))
    assert [(c.group.protocol.start_step, c.labels.quantizer) for c in cells] == [
        (20, "float"),
        (20, "lsq"),
        (40, "float"),
        (40, "lsq"),
    ]
    assert len({c.group.key for c in cells}) == 2
    once = load_and_plan(config.load(["quantizer=[float,lsq]", "seeds=1", "targets=[thick]", "protocol.start_step=40"]))
    assert {c.key for c in once} < {c.key for c in cells}


@pytest.mark.parametrize("value", ["40", "[]", "[a]", "[1.5]", "[true]"])
def test_start_steps_that_are_no_list_of_steps(value):
    with pytest.raises(ConfigError, match=r"start_steps must be null or a list of steps, got .*\[40,80\]"):
        config.load([f"start_steps={value}"])


def test_a_start_step_that_the_protocol_has_no_room_for():
    with pytest.raises(ConfigError, match="start_step"):
        config.load(["start_steps=[40,100000]"])
