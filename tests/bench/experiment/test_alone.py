"""Several data sets in one experiment: each is configured as if it were the only one, and wrong words end in one line."""

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.targets import targets_of
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
        ("dataset=[pacs,pacs]", r"dataset must name each entry once, got pacs twice; write dataset=\[pacs\]"),
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
            r"got protocol.pacs.steps in a run on digits; write dataset=\[digits,pacs\] as well, or protocol.steps=3 for all",
        ),
        (
            "protocol.pacs=digits",
            r"got protocol.pacs in a run on digits; write dataset=.*as well, or protocol=digits for all",
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
