"""What cannot run says so as an unsupported cell: too few source domains, or no double backward."""

import pytest

from quantdg.bench.algorithms.erm import ERM
from quantdg.bench.cells.execute import incompatibility
from quantdg.bench.experiment import load as config
from quantdg.bench.models.convnet import convnet
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.session import run_experiment

ONE = {"erm", "groupdro", "sd", "rsc", "sagnet", "augmix_jsd", "ddg", "ddg_gan"}


def answer(algorithm, quantizer, sources, *words):
    experiment = config.load([f"algorithm=[{algorithm}]", f"quantizer=[{quantizer}]", *words])
    parts, rule = (experiment.algorithms[0], experiment.quantizers[0]), experiment.step_rule
    return incompatibility(*parts, sources, lambda: convnet((3, 16, 16), 10, width=4), step_rule=rule)


def test_algorithms_that_compare_domains_need_two(name):
    reason = None if name in ONE else ("unsupported", f"{name} needs 2 source domains, there are 1")
    assert answer(name, "lsq", 1) == reason
    assert answer(name, "lsq", 2) is None


@pytest.mark.parametrize(("quantizer", "refused"), [("float", False), ("lsq", False), ("torch_ao_learnable", True)])
def test_a_double_backward_is_asked_only_of_quantizers_that_have_one(monkeypatch, quantizer, refused):
    monkeypatch.setattr(ERM, "double_backward", True)
    reason = ("unsupported", f"erm needs a double backward, {quantizer} has none")
    assert answer("erm", quantizer, 4) == (reason if refused else None)


@pytest.mark.parametrize("form", ["finite_difference", "double_backward"])
def test_a_step_rule_asks_for_a_double_backward_too(form):
    reason = ("unsupported", "gradient_l1 needs a double backward, torch_ao_learnable has none")
    words = ["step_rule=gradient_l1", f"step_rule.form={form}"]
    assert answer("erm", "lsq", 4, *words) is None
    assert answer("erm", "torch_ao_learnable", 4, *words) == (reason if form == "double_backward" else None)


def test_the_reason_is_in_the_record(quick, monkeypatch):
    monkeypatch.setattr(ERM, "double_backward", True)
    experiment = quick("quantizer=[float,torch_ao_learnable]")
    run_experiment(experiment)
    found = {r.labels.quantizer: (r.status, r.reason) for r in RunStore(experiment.paths.out).records()}
    reason = "erm needs a double backward, torch_ao_learnable has none"
    assert found == {"float": ("done", ""), "torch_ao_learnable": ("unsupported", reason)}
