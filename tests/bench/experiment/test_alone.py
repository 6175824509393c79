"""Several data sets in one experiment: each is configured as if it were the only one, and wrong words end in one line."""

import pytest
import yaml
from hydra.core.config_store import ConfigStore

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.offers import CONF, read_settings
from quantdg.bench.experiment.targets import targets_of
from quantdg.bench.experiment.words import continuations, settings
from quantdg.core.cli import main
from quantdg.core.errors import ConfigError
from quantdg.datasets.base import Outline

DOMAINS = {"pacs": ["photo", "sketch"], "mine": ["photo", "day"]}
TWO = {name: Outline(tuple(own), tuple(own), ("0", "1"), (3, 16, 16), name) for name, own in DOMAINS.items()}
THREE = "dataset=[pacs,office_caltech,digits]"
SCRATCH = ["protocol=scratch", "model=convnet"]


def outline(*domains, fingerprint="data"):
    return Outline(domains, domains, ("0", "1"), (3, 16, 16), fingerprint)


def keys(words, **domains):
    cells = config.load([*SCRATCH, *words]).cells({name: outline(*own) for name, own in domains.items()})
    return {name: [c.key for c in cells if c.labels.dataset == name] for name in domains}


def test_the_cells_of_several_are_those_of_each_alone():
    shared = ["algorithm=[erm,coral]", "quantizer=[float,lsq]", "bits=[4,7]", "protocol.batch_size=8", "seeds=2"]
    own = ["protocol.pacs.steps=70", "dataset.pacs.size=32", "model.office_caltech.width=8", "protocol.digits=digits"]
    both = keys([*shared, *own, THREE], pacs=["photo"], office_caltech=["dslr"], digits=["thick"])
    alone = {
        **keys([*shared, "dataset=pacs", "protocol.steps=70", "dataset.size=32"], pacs=["photo"]),
        **keys([*shared, "dataset=office_caltech", "model.width=8"], office_caltech=["dslr"]),
        **keys([*shared, "dataset=digits", "protocol=digits"], digits=["thick"]),
    }
    assert both == alone
    assert keys([*shared, "dataset=[digits]"], digits=["thick"]) == keys([*shared, "dataset=digits"], digits=["thick"])


def test_a_setting_for_one_goes_before_one_for_all_in_any_order():
    for words in (["protocol.pacs.steps=70", "protocol.steps=50"], ["protocol.steps=50", "protocol.pacs.steps=70"]):
        made = config.load([*SCRATCH, THREE, *words])
        assert [setup.protocol.steps for setup in made.setups] == [70, 50, 50]
    (only,) = config.load(["dataset=pacs", *SCRATCH, "protocol.pacs.steps=70", "protocol.steps=50"]).setups
    assert only.protocol.steps == 70


def test_a_choice_for_one_takes_its_own_settings():
    made = config.load([THREE, *SCRATCH, "protocol.digits=digits", "protocol.digits.lr=0.5", "model.digits=mnist_cnn"])
    assert [setup.protocol.name for setup in made.setups] == ["scratch", "scratch", "digits"]
    assert [setup.model.name for setup in made.setups] == ["convnet", "convnet", "mnist_cnn"]
    assert made.setups[2].protocol.lr == 0.5


def test_averages_with_settings_for_one():
    """The cells of the others stay as they are; a list for all is no list on the one with a value of its own."""
    shared = [
        "averaging=[swad,ema]",
        "quantizer=[float]",
        "dataset=[pacs,digits]",
        "averaging.swad.tolerance=[0.3,0.4]",
    ]
    own = "averaging.pacs.swad.tolerance=0.2"
    both = keys([*shared, own], pacs=["photo"], digits=["thick"])
    alone = ["averaging=[swad,ema]", "quantizer=[float]"]
    assert both == {
        **keys([*alone, "dataset=pacs", "averaging.swad.tolerance=0.2"], pacs=["photo"]),
        **keys([*alone, "dataset=digits", "averaging.swad.tolerance=0.3"], digits=["thick"]),
    }
    made = config.load([*SCRATCH, *shared, own])
    assert made.search is not None
    assert dict(made.search.lists) == {"pacs": {}, "digits": {"averaging.swad.tolerance": (0.3, 0.4)}}
    (only,) = config.load([*SCRATCH, *alone, "dataset=pacs", own]).setups
    assert only.averages is not None
    assert [(part.name, part.options.get("tolerance")) for part in only.averages] == [("swad", 0.2), ("ema", None)]


def test_each_has_its_own_root(tmp_path):
    made = config.load([THREE, *SCRATCH, "data.root=all", "data.pacs.root=a(b) c", f"data.digits.cache={tmp_path}"])
    assert [str(made.paths.root_of(name)) for name in ("pacs", "office_caltech")] == ["a(b) c", "all"]
    assert made.paths.cache_of("digits") == tmp_path != made.paths.cache_of("pacs")


def test_one_file_under_two_names():
    words = ["dataset=[rotated_mnist,hard]", "dataset.hard=rotated_mnist", "dataset.hard.angles=[0,45,90]", *SCRATCH]
    made = config.load(words)
    assert [setup.name for setup in made.setups] == ["rotated_mnist", "hard"]
    assert made.setups[1].dataset.options["angles"] == [0, 45, 90]
    assert made.setups[0].dataset.options["angles"] == [0, 15, 30, 45, 60, 75]
    alone = ["dataset=rotated_mnist", "dataset.name=hard", "dataset.angles=[0,45,90]"]
    assert keys(words, rotated_mnist=["0"], hard=["45"])["hard"] == keys(alone, hard=["45"])["hard"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("dataset=[pacs,pacs]", r"dataset must name each entry once, got pacs twice; write 'dataset=\[pacs\]'"),
        (
            "dataset=[pacs,b] dataset.b=pacs",
            "pacs and b are the same with the same settings; leave one out of dataset, or",
        ),
        ("dataset=[pacs,b] dataset.b=folder dataset.name=c", "dataset must name each entry once, got c twice"),
        ("dataset=[pacs,b]", "no dataset named 'b'"),
        ("dataset=[pacs,b] dataset.b=pacz", "no dataset named 'pacz'; did you mean 'pacs'"),
        ("dataset=[pacs,b] dataset.b=3", "dataset.b takes one name, got dataset.b=3"),
        (
            "dataset=[digits] protocol.pacs.steps=3",
            r"got protocol.pacs.steps in a run on digits; write 'dataset=\[digits,pacs\]' as well, or protocol.steps=3 for all",
        ),
        (
            "protocol.pacs=digits",
            r"got protocol.pacs in a run on digits; write 'dataset=.*as well, or protocol=digits for all",
        ),
        ("protocol.pcas.steps=3", "no data set named 'pcas'; did you mean 'pacs'"),
        ("data.pacs=3", "data.pacs must hold settings, got data.pacs=3; write data.pacs.root=DIR"),
        ("dataset=[pacs,digits] protocol.pacs=nope", "no protocol named 'nope'"),
        ("dataset=[pacs,digits] protocol.pacs=3", "protocol.pacs takes one name, got protocol.pacs=3"),
        (
            "dataset=[pacs,digits] protocol.pacs.stepz=3",
            "no setting named 'protocol.stepz'; did you mean 'protocol.steps'",
        ),
        ("dataset=[pacs,digits] protocol.pacs.steps=1,2", "takes one value or a list in brackets"),
        (
            "dataset=[pacs,digits] averaging=[swad] averaging.pasc.swad.tolerance=1",
            "no data set named 'pasc'; did you mean 'pacs'",
        ),
        (
            "dataset=[pacs,digits] averaging=[swad] averaging.pacs.swat.tolerance=1",
            "no averaging chosen for this run named 'swat'; did you mean 'swad'",
        ),
        (
            "dataset=[pacs,digits] averaging=[swad] averaging.pacs.swad.tolerence=1",
            "no setting of swad named 'tolerence'; did you mean 'tolerance'",
        ),
        (
            "dataset=[pacs,digits] averaging.pacs=swad",
            "averaging.pacs must hold settings, got averaging.pacs=swad; write",
        ),
        (
            "dataset=digits averaging=[swad] averaging.pacs.swad.tolerance=1",
            r"got averaging.pacs.swad.tolerance in a run on digits; write 'dataset=\[digits,pacs\]' as well, or averaging.swad.tol",
        ),
        ("dataset=[pacs,digits] dataset.pacs.angle=3 protocol=digits", "no setting of pacs named 'angle'"),
    ],
)
def test_wrong_words(words, message):
    with pytest.raises(ConfigError, match=message) as error:
        made = config.load(words.split())
        for group, part in made.components():
            part.check(group)
        raise ConfigError("nothing")
    assert "\n" not in str(error.value)


def test_targets_of_each():
    assert targets_of(None, TWO) == DOMAINS
    assert targets_of(["mine/photo", "day", "sketch"], TWO) == {"pacs": ["sketch"], "mine": ["photo", "day"]}
    assert targets_of(["pacs/sketch"], {"pacs": TWO["pacs"]}) == {"pacs": ["sketch"]}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["photo"], "photo is one of pacs and of mine; write pacs/photo or mine/photo"),
        (["skech"], "no target named 'skech'; did you mean 'pacs/sketch'"),
        (["pacs/skech"], "no domain of pacs named 'skech'; did you mean 'sketch'"),
        (["sketch"], "got none of mine; write mine/photo as well, or leave mine out of dataset"),
        (["sketch", "day", "pacs/sketch"], "targets must name each entry once, got pacs/sketch twice"),
    ],
)
def test_wrong_targets(asked, message):
    with pytest.raises(ConfigError, match=message):
        targets_of(asked, TWO)


def setups(*words):
    return {setup.name: setup for setup in config.load(words).setups}


def test_the_suite_of_domainbed_is_as_qtdog_says():
    """QT-DoG, appendix B: 5000 steps, quantized after 2000; DomainNet 15000 and 8000; a check every 300."""
    made = setups("suite=domainbed")
    assert list(made) == ["pacs", "vlcs", "office_home", "terra_incognita", "domain_net"]
    steps = {name: (s.protocol.steps, s.protocol.start_step, s.protocol.check_every) for name, s in made.items()}
    assert steps.pop("domain_net") == (15000, 8000, 300)
    assert set(steps.values()) == {(5000, 2000, 300)}
    assert {(s.model.name, s.dataset.options["size"], s.protocol.batch_size) for s in made.values()} == {
        ("resnet50", 224, 32)
    }


def test_the_suites_of_swad_and_domainbed_are_as_their_tables():
    frequency = {"pacs": 100, "vlcs": 50, "office_home": 100, "terra_incognita": 100, "domain_net": 500}
    made = setups("suite=domainbed_swad")
    assert {name: s.protocol.check_every for name, s in made.items()} == frequency
    assert {name: s.protocol.steps for name, s in made.items()} == {
        **dict.fromkeys(frequency, 5001),
        "domain_net": 15001,
    }
    own = {name: s.averages[0].options["tolerance"] for name, s in made.items() if s.averages is not None}
    assert own == {"vlcs": 0.2}
    assert config.load(["suite=domainbed_swad", "dataset=pacs"]).averages[0].options["tolerance"] == 0.3
    for file in ("suite/domainbed_swad", "experiment/swad/main", "experiment/swad/main_mixstyle"):
        assert read_settings(CONF / f"{file}.yaml")["averaging"] == {"vlcs": {"swad_reference": {"tolerance": 0.2}}}
    made = setups("suite=domainbed_2020")
    assert {name: s.protocol.check_every for name, s in made.items()} == {
        **dict.fromkeys(frequency, 300),
        "domain_net": 1000,
    }


def test_a_command_line_goes_before_a_suite():
    assert {s.protocol.steps for s in setups("suite=domainbed", "protocol.steps=9000").values()} == {9000}
    word = "averaging.swad_reference.tolerance=0.5"
    made = setups("suite=domainbed_swad", "dataset=[pacs,vlcs]", word)["vlcs"].averages
    assert made is not None
    assert made[0].options["tolerance"] == 0.5


def test_some_of_a_suite():
    made = setups("suite=domainbed", "dataset=[domain_net,pacs]")
    assert [(s.name, s.protocol.steps) for s in made.values()] == [("domain_net", 15000), ("pacs", 5000)]
    (only,) = setups("suite=domainbed", "dataset=domain_net").values()
    assert only.protocol.steps == 15000
    assert (
        only.protocol
        == setups(
            "dataset=domain_net", "protocol=qtdog", "model=resnet50", "protocol.steps=15000", "protocol.start_step=8000"
        )["domain_net"].protocol
    )


def test_another_protocol_takes_nothing_of_the_suites():
    made = setups("suite=domainbed", "protocol=scratch", "model=convnet")
    assert {(s.protocol.name, s.protocol.steps) for s in made.values()} == {("scratch", 60)}
    assert setups("suite=domainbed", "protocol.domain_net=swad")["domain_net"].protocol.steps == 5001
    made = config.load(["suite=domainbed_swad", "dataset=[pacs,vlcs]", "averaging=[swad]"])
    assert [made.averages_on(setup)[0].options["tolerance"] for setup in made.setups] == [0.3, 0.3]


def test_an_experiment_file_chooses_a_suite(monkeypatch):
    """As the tables of papers do; its own settings for one data set stand beside the suite's."""
    file = ["# @package _global_", "defaults:", "  - override /suite: domainbed", "protocol:", "  pacs: {lr: 1.0e-3}"]
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", {**store.repo, "experiment": {}})
    store.store(name="mine", group="experiment", package="_global_", node=yaml.safe_load("\n".join(file)))
    made = setups("experiment=mine")
    assert len(made) == 5
    assert (made["pacs"].protocol.lr, made["vlcs"].protocol.lr, made["domain_net"].protocol.steps) == (
        1e-3,
        5e-5,
        15000,
    )
    assert [s.protocol.lr for s in setups("experiment=mine", "dataset=pacs").values()] == [1e-3]


def test_an_experiment_file_of_several_sets_a_quantizer():
    """Quantizers are composed once for all data sets; the file's settings of one must not count as another's alone."""
    made = config.load(["experiment=evidence_scale", "model.weights=none", "protocol.weights=none"])
    assert {q.name: q.options.get("scale_factor") for q in made.quantizers} == {"float": None, "lsq": 0.4}
    with pytest.raises(ConfigError, match="no quantizer chosen for this run named 'pact'"):
        config.load(
            ["experiment=evidence_scale", "model.weights=none", "protocol.weights=none", "quantizer.pact.lr_ratio=0.2"]
        )


def test_an_experiment_that_has_its_own_data_set_and_a_suite():
    with pytest.raises(
        ConfigError, match="suite=natural_small runs several data sets, but the experiment file has one, pacs"
    ):
        config.load(["experiment=pacs_small", "suite=natural_small", "model.weights=any.safetensors"])


def test_a_suite_is_listed_and_shown(capsys):
    assert main(["list", "suites"]) == 0
    assert "domainbed                PACS, VLCS, OfficeHome" in capsys.readouterr().out
    assert main(["show", "suite", "domainbed"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("suite domainbed: PACS, VLCS")
    rows = [line.split() for line in shown.splitlines()]
    assert ["domain_net", "224", "resnet50", "qtdog", "15000", "8000", "300", "32", "domainbed"] in rows
    assert main(["show", "suite", "domainbd"]) == 2
    assert "did you mean 'domainbed'" in capsys.readouterr().err


def test_completion_knows_several_data_sets():
    assert continuations(["dataset=[pacs,digits]", "protocol.pacs.st"]) == [
        "protocol.pacs.steps=",
        "protocol.pacs.start_step=",
    ]
    assert "dataset.digits_real.size=" in continuations(["suite=natural_small", "dataset.di"])
    assert not any(
        "_global_" in key or key.startswith("protocol.pacs.domain_net") for key in settings(["suite=domainbed"])
    )
