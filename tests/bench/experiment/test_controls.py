"""Bits of layer inputs that are set for all quantizers pass the controls by, and plan, label and record say so."""

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.checks import check_parts, read_outlines
from quantdg.bench.sweep.session import load_and_plan, plan_run, run_experiment
from quantdg.quantizers.freeze import Freeze
from quantdg.quantizers.spec import QuantSpec

CONTROLS = "quantizer=[float,lsq,freeze,round_freeze,uniform_noise]"
NOTE = "round_freeze is a control and acts on weights only, so act_bits=4 does not apply to it"


def test_controls_run_as_their_weight_only_selves(quick):
    asked, plain = quick(CONTROLS, "act_bits=4"), quick(CONTROLS)
    labels = {q.name: q.spec.label if q.spec else "float" for q in asked.quantizers}
    assert labels == {"float": "float", "lsq": "W7A4", "freeze": "float", "round_freeze": "W7", "uniform_noise": "W7"}
    keys = [{c.labels.quantizer: c.key for c in load_and_plan(e)} for e in (asked, plain)]
    assert {name for name in keys[0] if keys[0][name] == keys[1][name]} == {"float", *labels} - {"lsq"}
    assert not check_parts(asked, read_outlines(asked), refuse=True).refusals
    text = plan_run(asked).text(jobs=1)
    assert "5 cells in 1 groups: 0 done, 5 missing, 0 failed, 0 unsupported" in text
    assert text.count("\nnote: ") == 2
    assert f"note: {NOTE}" in text
    assert "note" not in plan_run(plain).text(jobs=1)


def test_a_sweep_of_input_bits_has_each_control_once(quick):
    experiment = quick("quantizer=[lsq,round_freeze]", "act_bits=[4,8]")
    assert [q.spec.label for q in experiment.quantizers] == ["W7A4", "W7", "W7A8"]


def test_the_record_says_so(quick, capsys):
    experiment = quick("quantizer=[round_freeze]", "act_bits=4")
    assert run_experiment(experiment) == 0
    assert NOTE in " ".join(capsys.readouterr().err.split())
    (record,) = RunStore(experiment.paths.out).records()
    assert (record.status, record.labels.bits, record.plan["note"]) == ("done", "W7", NOTE)


@pytest.mark.parametrize("name", ["freeze", "round_freeze", "uniform_noise"])
def test_what_is_asked_of_one_control_alone_is_refused_by_name(quick, name):
    text = plan_run(quick(f"quantizer=[{name}]", f"quantizer.{name}.spec.act_bits=4")).text(jobs=1)
    assert f"unsupported: erm {name} W7A4: " in text
    assert "weights only, got act_bits=4; write act_bits=null" in text


def test_freezing_knows_no_input_bits():
    network = config.load([]).setups[0].model.build((3, 16, 16), 10)
    assert Freeze().supports(network, QuantSpec()).ok
    assert not Freeze().supports(network, QuantSpec(act_bits=8)).ok
