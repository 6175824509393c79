"""Configuration: every file builds, lists and sweeps expand, wrong words are answered with the nearest right one."""

from pathlib import Path

import pytest

from quantdg.bench import conf, config
from quantdg.bench.experiment import import_object
from quantdg.bench.session import plan
from quantdg.core.errors import ConfigError, NoMatchError, UnknownNameError
from quantdg.datasets.digits import load_digits

FILES = [(f.parent.name, f.stem) for f in sorted(Path(conf.__file__).parent.glob("*/*.yaml"))]


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_file_composes_and_names_something_importable(group, name):
    several = group in ("quantizer", "algorithm", "averaging", "transform")
    experiment = config.load([f"{group}=[{name}]" if several else f"{group}={name}", "protocol.weights=none"])
    parts = (*experiment.quantizers, *experiment.algorithms, *experiment.averages, experiment.dataset, experiment.model)
    assert all(callable(import_object(part.target)) for part in parts)


def test_names_are_unique_and_equal_the_file(subtests=None):
    assert len(FILES) == len(set(FILES))
    for group, name in FILES:
        if group in ("dataset", "model", "protocol"):
            assert f"name: {name}" in (Path(conf.__file__).parent / group / f"{name}.yaml").read_text()


def test_lists_expand_to_the_whole_grid():
    experiment = config.load(["quantizer=[float,lsq]", "algorithm=[erm,coral]", "seeds=[0,4]", "targets=[thick,faint]"])
    cells = plan(experiment)
    assert len(cells) == 16
    assert len({c.key for c in cells}) == 16
    assert len({c.group.key for c in cells}) == 8
    assert {c.labels.seed for c in cells} == {0, 4}


def test_bits_sweep_and_keep_float_once():
    experiment = config.load(["quantizer=[float,lsq]", "bits=[2,4,8]", "act_bits=8"])
    labels = [(q.name, q.spec.label if q.spec else "float") for q in experiment.quantizers]
    assert sorted(labels) == [("float", "float"), ("lsq", "W2A8"), ("lsq", "W4A8"), ("lsq", "W8A8")]


def test_identity_does_not_depend_on_order_place_or_launcher(tmp_path):
    one = plan(config.load(["quantizer=[lsq,float]", "protocol.lr=1e-4", "seeds=1", f"out={tmp_path}"]))
    other = plan(config.load(["seeds=1", "launcher.jobs=7", "protocol.lr=0.0001", "quantizer=[float,lsq]"]))
    assert {c.key for c in one} == {c.key for c in other}
    changed = plan(config.load(["quantizer=[float,lsq]", "protocol.lr=2e-4", "seeds=1"]))
    assert not {c.key for c in one} & {c.key for c in changed}


def test_a_weights_file_counts_by_its_content_not_by_its_place(tmp_path):
    def keys(place, content):
        file = tmp_path / place / "w.safetensors"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        experiment = config.load(["model=squeezenet", f"protocol.weights={file}", "seeds=1", "targets=[thick]"])
        return [cell.key for cell in experiment.cells(["thick"], "data")]

    assert keys("a", b"1") == keys("b", b"1") != keys("b", b"2")


@pytest.mark.parametrize(
    ("words", "weights"),
    [
        ("protocol=qtdog model=resnet18", "IMAGENET1K_V1"),
        ("protocol=qtdog model=resnet18 model.weights=IMAGENET1K_V1", "IMAGENET1K_V1"),
        ("protocol=qtdog model=resnet18 protocol.weights=none", None),
        ("protocol=scratch model=resnet18", None),
        ("protocol=scratch model=resnet18 model.weights=none", None),
        ("protocol=pacs_small model=resnet18 model.weights=IMAGENET1K_V1", "IMAGENET1K_V1"),
    ],
)
def test_weights_are_the_protocols(words, weights):
    assert config.load(words.split()).model.options["weights"] == weights


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("protocol=qtdog", "must be IMAGENET1K_V1 in protocol qtdog, got none; .*protocol.weights=none"),
        ("protocol=swad model=resnet18 model.weights=none", "must be IMAGENET1K_V1 in protocol swad, got none"),
        (
            "protocol=qtdog model=resnet50 model.weights=IMAGENET1K_V2",
            "got IMAGENET1K_V2; .* write protocol.name=qtdog-changed protocol.weights=IMAGENET1K_V2",
        ),
        ("protocol=scratch model=resnet18 model.weights=IMAGENET1K_V1", "must be none in protocol scratch, got IMAGE"),
        ("protocol=pacs_small model=resnet18", "leaves open which; write model.weights=NAME"),
        ("protocol=pacs_small model=resnet18 model.weights=none", "must be any in protocol pacs_small, got none"),
    ],
)
def test_other_weights_than_the_protocols_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        config.load(words.split())


def test_the_weights_count_in_a_cells_identity_as_the_models():
    """So a cell keeps its name whether its protocol names the weights or leaves them open."""
    words = ["model=resnet18", "model.weights=IMAGENET1K_V1", "seeds=1"]
    keys = []
    for demand in ("IMAGENET1K_V1", "any"):
        (cell,) = config.load([*words, f"protocol.weights={demand}", "quantizer=[float]"]).cells(["thick"], "data")
        keys.append(cell.key)
        assert cell.settings["model"]["options"]["weights"] == "IMAGENET1K_V1"
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("quantizer=[lqs]", "no quantizer named 'lqs'; did you mean 'lsq'?"),
        ("algorithm=[crl]", "no algorithm named 'crl'; did you mean 'coral'?"),
        ("dataset=digit", "no dataset named 'digit'; did you mean 'digits'?"),
        ("model=resnet81", "did you mean 'resnet18'?"),
        ("protcol=digits", "no setting named 'protcol'; did you mean 'protocol'?"),
        ("protocol.step=5", "did you mean 'protocol.steps'?"),
        ("quantizer.lsq.spec.weight_bit=4", "did you mean 'quantizer.lsq.spec.weight_bits'?"),
        ("+protocol.stepz=5", "did you mean 'steps'?"),
        ("bits=9", "bits must be a whole number from 2 to 8, got 9"),
        ("bits=1", "got 1"),
        ("quantizer.lsq.spec.weight_bits=12", "from 2 to 8, got 12"),
        ("seeds=0", "write seeds=3 or seeds=\\[0,4\\]"),
        ("targets=[]", "write targets="),
        ("protocol.start_step=900", "below protocol.steps"),
        ("launcher.threads=0", "at least 1"),
        ("seeds=[", "seeds"),
    ],
)
def test_wrong_words(words, message):
    with pytest.raises(ConfigError, match=message):
        config.load([words])


def test_an_unknown_target_is_answered_when_the_data_set_is_known():
    with pytest.raises(UnknownNameError, match="no domain of digits named 'thik'; did you mean 'thick'"):
        plan(config.load(["targets=[thik]"]))


def test_a_rule_that_matches_nothing_is_an_error_before_anything_is_trained(quick):
    experiment = quick("quantizer=[lsq]", "quantizer.lsq.spec.rules=[{pattern: 'fc', skip: true}]")
    with pytest.raises(NoMatchError, match="'fc' matches none; the layers are: featurizer"):
        plan(experiment)


def test_help_lists_the_choices():
    text = config.help_text()
    assert "lsq" in text
    assert "coral" in text
    assert "seeds=3" in text


def test_the_default_data_set_is_the_digits():
    experiment = config.load([])
    assert import_object(experiment.dataset.target) is load_digits
