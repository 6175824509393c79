"""The named protocols and the methods' defaults say what the papers and released codes say."""

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.component import import_object
from quantdg.bench.experiment.signature import parameters_of
from quantdg.datasets.base import Outline

COMMON = {
    "batch_size": 32,
    "lr": 5e-5,
    "weight_decay": 0.0,
    "holdout": 0.2,
    "bn": "frozen",
    "augmentation": "domainbed",
    "weights": "IMAGENET1K_V1",
}
BACKBONE = "model=resnet50"


def outline(*domains, fingerprint="data"):
    return Outline(domains, domains, ("0", "1"), (3, 16, 16), fingerprint)


@pytest.mark.parametrize(
    ("named", "steps", "start_step", "check_every"),
    [
        ("qtdog", 5000, 2000, 300),  # paper, appendix B
        ("qtdog-release", 5001, 2000, 200),  # --q_steps default, data-set default frequency
        ("swad", 5001, 0, 200),
        ("domainbed-2020", 5001, 0, 300),
    ],
)
def test_protocols(named, steps, start_step, check_every):
    experiment = config.load([f"protocol={named}", BACKBONE])
    protocol = experiment.setups[0].protocol
    assert protocol.name == named
    assert experiment.setups[0].model.options["weights"] == "IMAGENET1K_V1"
    assert (protocol.steps, protocol.start_step, protocol.check_every) == (steps, start_step, check_every)
    assert {key: getattr(protocol, key) for key in COMMON} == COMMON


@pytest.mark.parametrize(
    ("named", "checks"),
    [
        ("qtdog", list(range(2300, 5001, 300))),
        ("qtdog-release", list(range(2001, 5002, 200))),  # `step % checkpoint_freq == 0`, counted from 0
        ("swad", list(range(1, 5002, 200))),
        ("domainbed-2020", [*range(1, 4802, 300), 5001]),
    ],
)
def test_checkpoints_come_where_the_releases_have_them(named, checks):
    protocol = config.load([f"protocol={named}", BACKBONE]).setups[0].protocol
    assert [step for step in range(protocol.steps + 1) if protocol.is_check(step)] == checks


@pytest.mark.parametrize(
    ("method", "defaults"),
    [
        ("coral", {"gamma": 1.0}),
        ("mmd", {"gamma": 1.0}),
        ("irm", {"weight": 100.0, "anneal": 500, "estimate": "even_odd"}),
        ("vrex", {"weight": 10.0, "anneal": 500}),
        ("fishr", {"weight": 1000.0, "anneal": 1500, "decay": 0.95}),
        ("groupdro", {"eta": 0.01}),
        ("sd", {"weight": 0.1}),
        ("rsc", {"drop_features": 1 / 3, "drop_examples": 1 / 3}),
        ("dann", {"weight": 1.0, "d_steps": 1, "gradient_penalty": 0.0, "width": 256}),
        ("sagnet", {"weight": 0.1}),
        ("mldg", {"beta": 1.0, "meta_test": 2}),
        ("fish", {"meta_lr": 0.5}),
        ("eqrm", {"quantile": 0.75, "burn_in": 2500, "lr": 1e-6}),
        ("cdann", {"weight": 1.0, "d_steps": 1, "gradient_penalty": 0.0, "width": 256}),
        ("mtl", {"ema": 0.99}),
        ("arm", {"support": 8, "width": 64}),
    ],
)
def test_defaults_of_the_methods_are_domainbeds(method, defaults):
    (component,) = config.load([f"algorithm=[{method}]"]).algorithms
    assert component.options == defaults


@pytest.mark.parametrize("group", ["algorithm", "averaging"])
def test_every_file_lists_every_default_and_the_same_as_the_code(group):
    with config.hydra():
        names = config.choices(group)
    for chosen in names:
        experiment = config.load([f"{group}=[{chosen}]"])
        (component,) = experiment.algorithms if group == "algorithm" else experiment.averages
        parameters = parameters_of(import_object(component.target))[0].values()
        coded = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        if chosen == "swad_reference":
            coded["variant"] = "reference"
        assert component.options == coded, chosen


def test_only_domainbed_augments_source_validation():
    named = ("qtdog", "qtdog-release", "swad", "domainbed-2020")
    augmented = [n for n in named if config.load([f"protocol={n}", BACKBONE]).setups[0].protocol.augment_validation]
    assert augmented == ["domainbed-2020"]


def test_the_papers_experiment_says_that_it_is_from_scratch():
    experiment = config.load(["experiment=pacs_paper"])
    as_in_the_paper = "model.name=resnet50 protocol.name=qtdog protocol.weights=IMAGENET1K_V1 protocol.bn=frozen"
    given = config.load(["experiment=pacs_paper", *as_in_the_paper.split()])
    label = experiment.cells({"pacs": outline("sketch")})[0].labels
    assert (label.model, label.protocol) == ("resnet50-scratch", "qtdog-scratch")
    assert experiment.setups[0].protocol.weights is None
    assert experiment.setups[0].model.options["weights"] is None
    assert given.setups[0].protocol == config.load(["protocol=qtdog", BACKBONE]).setups[0].protocol
    assert (given.setups[0].model.name, given.setups[0].model.options["weights"]) == ("resnet50", "IMAGENET1K_V1")
    assert experiment.setups[0].dataset.options["size"] == given.setups[0].dataset.options["size"] == 224
    assert [q.name for q in experiment.quantizers] == ["float", "lsq", "freeze", "round_freeze", "uniform_noise"]
    assert {q.spec.weight_bits for q in experiment.quantizers if q.spec} == {7}


def test_the_released_codes_experiment_rounds_and_freezes_with_swad_as_released():
    experiment = config.load(["experiment=qtdog-release"])
    assert experiment.setups[0].protocol == config.load(["protocol=qtdog-release", BACKBONE]).setups[0].protocol
    assert [q.name for q in experiment.quantizers] == ["float", "freeze", "round_freeze"]
    (average,) = experiment.averages
    options = {"variant": "reference", "n_converge": 3, "n_tolerance": 6, "tolerance": 0.3}
    assert (average.name, average.options) == ("swad_reference", options)
    assert experiment.setups[0].model.options["weights"] == "IMAGENET1K_V1"
    assert [a.name for a in experiment.algorithms] == ["erm"]
