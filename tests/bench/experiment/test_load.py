"""Configuration: every file builds, lists and sweeps expand, wrong words are answered with the nearest right one."""

from contextlib import suppress
from pathlib import Path

import pytest

from quantdg.bench import conf
from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.component import import_object
from quantdg.bench.experiment.offers import GROUPS
from quantdg.bench.sweep.session import load_and_plan
from quantdg.core.errors import ConfigError, NoMatchError, UnknownNameError
from quantdg.datasets.base import Outline
from quantdg.datasets.digits import load_digits

FILES = [(f.parent.name, f.stem) for f in sorted(Path(conf.__file__).parent.glob("*/*.yaml"))]


def outline(*domains, fingerprint="data"):
    return Outline(domains, domains, ("0", "1"), (3, 16, 16), fingerprint)


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_file_composes_and_names_something_importable(group, name):
    several = group in ("quantizer", "algorithm", "averaging", "transform")
    own = (
        ["model.weights=none"] if name.startswith(("efficientnet_lite", "evidence")) else []
    )  # files that it names itself
    experiment = config.load([f"{group}=[{name}]" if several else f"{group}={name}", "protocol.weights=none", *own])
    parts = (
        *experiment.quantizers,
        *experiment.algorithms,
        *experiment.averages,
        experiment.setups[0].dataset,
        experiment.setups[0].model,
    )
    assert all(callable(import_object(part.target)) for part in parts)


def test_names_are_unique_and_equal_the_file(subtests=None):
    assert len(FILES) == len(set(FILES))
    for group, name in FILES:
        if group in ("dataset", "model", "protocol"):
            assert f"name: {name}" in (Path(conf.__file__).parent / group / f"{name}.yaml").read_text()


def test_lists_expand_to_the_whole_grid():
    experiment = config.load(["quantizer=[float,lsq]", "algorithm=[erm,coral]", "seeds=[0,4]", "targets=[thick,faint]"])
    cells = load_and_plan(experiment)
    assert len(cells) == 16
    assert len({c.key for c in cells}) == 16
    assert len({c.group.key for c in cells}) == 8
    assert {c.labels.seed for c in cells} == {0, 4}


def test_bits_sweep_and_keep_float_once():
    experiment = config.load(["quantizer=[float,lsq]", "bits=[2,4,8]", "act_bits=8"])
    labels = [(q.name, q.spec.label if q.spec else "float") for q in experiment.quantizers]
    assert sorted(labels) == [("float", "float"), ("lsq", "W2A8"), ("lsq", "W4A8"), ("lsq", "W8A8")]


def test_identity_does_not_depend_on_order_place_or_launcher(tmp_path):
    one = load_and_plan(config.load(["quantizer=[lsq,float]", "protocol.lr=1e-4", "seeds=1", f"out={tmp_path}"]))
    other = load_and_plan(config.load(["seeds=1", "launcher.jobs=7", "protocol.lr=0.0001", "quantizer=[float,lsq]"]))
    assert {c.key for c in one} == {c.key for c in other}
    changed = load_and_plan(config.load(["quantizer=[float,lsq]", "protocol.lr=2e-4", "seeds=1"]))
    assert not {c.key for c in one} & {c.key for c in changed}


def test_a_weights_file_counts_by_its_content_not_by_its_place(tmp_path):
    def keys(place, content):
        file = tmp_path / place / "w.safetensors"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        experiment = config.load(["model=squeezenet", f"protocol.weights={file}", "seeds=1", "targets=[thick]"])
        return [cell.key for cell in experiment.cells({"digits": outline("thick")})]

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
    assert config.load(words.split()).setups[0].model.options["weights"] == weights


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
        (cell,) = config.load([*words, f"protocol.weights={demand}", "quantizer=[float]"]).cells(
            {"digits": outline("thick")}
        )
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
        ("launcher.processes=2", "no setting named 'launcher.processes'; it is protocol.processes"),
        ("protocol.processes=0", "protocol.processes must be at least 1, got 0"),
        ("protocol.processes=65", "protocol.processes must be at most 64, got 65"),
        (
            "protocol.processes=2 protocol.compile=true",
            "protocol.compile=true needs one process, got protocol.processes=2",
        ),
        ("protocol.processes=2 launcher=slurm", "protocol.processes=2 needs launcher=local, got launcher=slurm"),
        ("launcher.compile=true", "no setting named 'launcher.compile'; it is protocol.compile"),
        ("protcol=digits", "no setting named 'protcol'; did you mean 'protocol'?"),
        ("protocol.step=5", "did you mean 'protocol.steps'?"),
        (
            "quantizer.lsq.spec.weight_bit=4",
            "no setting of quantizer.lsq.spec named 'weight_bit'; did you mean 'weight_bits'?",
        ),
        ("+protocol.stepz=5", "did you mean 'steps'?"),
        ("bits=9", "bits must be a whole number from 2 to 8, got 9"),
        ("bits=1", "got 1"),
        ("quantizer.lsq.spec.weight_bits=12", "from 2 to 8, got 12"),
        ("seeds=0", "write seeds=3 or 'seeds=\\[0,4\\]'"),
        ("targets=[]", "write 'targets=\\[sketch,photo\\]'"),
        ("protocol.start_step=900", "below protocol.steps"),
        ("launcher.threads=0", "at least 1"),
        ("launcher.device=tpu", "must be cpu, cuda or cuda:NUMBER, got 'tpu'; write cpu"),
        ("protocol.steps=abc", "protocol.steps must be a whole number, got 'abc'"),
        ("protocol.lr=null", "protocol.lr must be a number, got None"),
        ("protocol.weights=3", "protocol.weights must be a word or null, got 3"),
        ("protocol.augment_validation=1", "augment_validation must be true or false, got 1"),
        ("protocol.augmentation=domainbd", "no augmentation named 'domainbd'; did you mean 'domainbed'"),
        ("protocol.weight_decay=-1", "at least 0, got -1"),
        ("~protocol.lr", "protocol.lr cannot be left out; write protocol.lr=VALUE"),
        ("flatness=quick flatness.radii=3", "flatness.radii must be a list, each a number, got 3"),
        ("quantizer.lsq.spec=3", "quantizer.lsq.spec must hold settings, got 3"),
        ("quantizer.lsq.spec.rules=3", "spec.rules must be a list, got 3"),
        ("quantizer.lsq.spec.rules=[{pattern: a, skip: 3}]", "rule.skip must be true or false, got 3"),
        ("~quantizer.lsq._target_", "no quantizer chosen for this run named 'lsq'"),
        ("quantizer=[]", "quantizer needs at least one choice"),
        ("algorithm=null", "algorithm takes a list of names, got null; write 'algorithm=.NAME,NAME.', there are: arm"),
        (
            "quantizer=float,lsq",
            "quantizer takes a list of names, got float,lsq; write 'quantizer=.float,lsq.', there are",
        ),
        ("targets=choice(thick,thin)", "got choice.thick,thin.; write 'targets=.VALUE,VALUE.'"),
        ("model=[convnet,resnet18]", "model takes one name, got .convnet,resnet18."),
        ("dataset=[]", "dataset takes a list of names, got"),
        ("dataset=[digits,3]", "dataset takes a list of names, got .digits,3."),
        ("~dataset", "dataset cannot be left out"),
        ("deploy=null", "there are: .*none"),
        ("data=null", "data cannot be left out"),
        ("out=''", "out cannot be left out"),
        ("bits=[]", "bits needs at least one number"),
        ("verdict=3", "verdict must hold settings, got 3"),
        ("=3", "a setting needs a name, got '=3'"),
        ("seeds=[", "seeds"),
    ],
)
def test_wrong_words(words, message):
    with pytest.raises(ConfigError, match=message):
        config.load([words] if "[{" in words else words.split())


NODES = [*GROUPS, "seeds", "targets", "bits", "match", "match_to", "verdict", "start_steps", "out", "data"]
SETTINGS = ["protocol.steps", "protocol.bn", "launcher.jobs", "quantizer.lsq.spec", "algorithm.erm", "verdict.alpha"]


VALUES = ["null", "[]", "-1", "abc", "{a: 1}", "nan", "[null]"]


@pytest.mark.slow
@pytest.mark.parametrize("value", VALUES)
def test_no_value_anywhere_ends_in_a_traceback(value):
    for key in (*NODES, *SETTINGS):
        with suppress(ConfigError):
            config.load([f"{key}={value}"])


@pytest.mark.parametrize("first", [0, 2, 4])
def test_three_values_everywhere_end_in_no_traceback(first):
    """Neighbours get different ones; the slow test tries all."""
    for number, key in enumerate((*NODES, *SETTINGS)):
        with suppress(ConfigError):
            config.load([f"{key}={VALUES[(first + number) % len(VALUES)]}"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("algorithm.erm.weight=3", None),
        ("+algorithm.erm.weight=3", "no setting of erm named 'weight'"),
        ("algorithm=[coral] algorithm.coral.gamma=abc", "coral.gamma must be a number, got 'abc'"),
        ("algorithm=[fishr] algorithm.fishr.decay=2", "algorithm.fishr.decay must be .* below 1, got 2"),
        ("averaging.swad.variant=papr", "swad.variant must be paper or reference, got 'papr'"),
        ("algorithm=[irm] algorithm.irm.estimate=odd", "irm.estimate must be even_odd or square, got 'odd'"),
        (
            "transform=[mixstyle] transform.mixstyle.partner=me",
            "mixstyle.partner must be random or crossdomain, got 'me'",
        ),
        ("protocol.bn=thawed", "protocol.bn must be frozen or freeze_at_start, got 'thawed'"),
        ("averaging=[ema] averaging.ema.decay=2", "averaging.ema.decay must be"),
        ("step_rule=sam step_rule.rho=-1", "step_rule.rho must be above 0"),
        ("transform=[mixup] transform.mixup.alpha=-1", "transform.mixup.alpha must be above 0"),
        ("quantizer.lsq.lr_ratio=-1", "lr_ratio must be above 0"),
        ("quantizer.lsq.lr_ratio=fast", "lsq.lr_ratio must be a number, got 'fast'"),
        ("quantizer=[nni_lsq] quantizer.nni_lsq.init=papr", "init must be 'shipped' or 'paper', got 'papr'"),
        ("dataset=rotated_mnist dataset.angles=3", "rotated_mnist.angles must be a list"),
    ],
)
def test_wrong_options_are_found_before_anything_is_trained(words, message):
    with pytest.raises(ConfigError, match=message):
        load_and_plan(config.load(words.split()))


def test_an_unknown_target_is_answered_when_the_data_set_is_known():
    with pytest.raises(UnknownNameError, match="no domain of digits named 'thik'; did you mean 'thick'"):
        load_and_plan(config.load(["targets=[thik]"]))


def test_a_rule_that_matches_nothing_is_an_error_before_anything_is_trained(quick):
    experiment = quick("quantizer=[lsq]", "quantizer.lsq.spec.rules=[{pattern: 'fc', skip: true}]")
    with pytest.raises(NoMatchError, match="'fc' matches none; the layers are: featurizer"):
        load_and_plan(experiment)


def test_help_lists_the_choices():
    text = config.help_text()
    assert "lsq" in text
    assert "coral" in text
    assert "seeds=3" in text


def test_the_default_data_set_is_the_digits():
    experiment = config.load([])
    assert import_object(experiment.setups[0].dataset.target) is load_digits


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("quantizer.lsq.scal_factor=2", "no setting of lsq named 'scal_factor'; did you mean 'scale_factor'?"),
        ("+quantizer.lsq.scal_factor=2", "no setting of lsq named 'scal_factor'"),
        ("quantizer.lsq.seed=1", "no setting of lsq named 'seed'"),
        ("quantizer.lsq.averaged=3", "lsq.averaged must be a word or null, got 3"),
        ("quantizer.lsqq.averaged=keep", "no quantizer chosen for this run named 'lsqq'; did you mean 'lsq'?"),
        ("quantizer.pact.lr_ratio=1", "no quantizer chosen for this run named 'pact'"),
        ("model.widht=3", "no setting of convnet named 'widht'; did you mean 'width'?"),
        ("optimizer.lr=1", "no setting of adam named 'lr'"),
        ("+foo=1", "no setting named 'foo'"),
        ("+data.rot=x", "no setting named 'data.rot'; did you mean 'data.root'?"),
        ("+data.digits.rot=x", "no setting named 'data.rot'; did you mean 'data.root'?"),
        ("dataset.progress=3", "no setting of digits named 'progress'"),
        ("+model.shape=3", "no setting of convnet named 'shape'"),
        ("algorithm.erm.weigth=3", "no setting of erm named 'weigth'"),
        ("+averaging.swad.tol=1", "no setting of swad named 'tol'; did you mean 'tolerance'"),
        ("+step_rule.rho=1", "no setting of plain named 'rho'"),
        ("schedule.floor=1", "no setting of none named 'floor'"),
        ("+launcher.cores=1", "no setting of launcher named 'cores'"),
        ("launcher.options.wait=1", "no setting of launcher.options with launcher=local named 'wait'"),
        ("+launcher.options.wait=1", "no setting of launcher.options with launcher=local named 'wait'"),
        ("+suite.x=1", "no setting of suite named 'x'"),
        ("+experiment.x=1", "no setting of experiment named 'x'"),
        ("+scale.x=1", "no setting of scale named 'x'"),
        ("+hydra.x=1", r"only hydra\.searchpath may be set, got \+hydra\.x=1"),
        ("hydra.verbose=true", r"only hydra\.searchpath may be set, got hydra\.verbose=true"),
        ("+experiment=demo", r"experiment must be chosen by one word, got \+experiment=demo; write experiment=demo"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused_with_or_without_a_plus(word, message):
    with pytest.raises(UnknownNameError if message.startswith("no ") else ConfigError, match=message):
        load_and_plan(config.load([word]))


def test_a_choice_is_added_to_the_default_and_not_lost_beside_another():
    assert [q.name for q in config.load(["+quantizer=pact"]).quantizers] == ["float", "lsq", "pact"]
    for added in ("+quantizer=pact", "++quantizer=pact"):
        with pytest.raises(
            ConfigError, match=r"quantizer must be chosen by one word, got .*pact; write 'quantizer=\[NAME"
        ):
            config.load(["quantizer=[float,lsq]", added])


def test_every_keyword_of_a_class_is_a_setting_though_its_file_does_not_list_it():
    words = [
        "quantizer.lsq.scale_factor=1.5",
        "averaging.swad.tolerance=0.4",
        "algorithm=[dann]",
        "algorithm.dann.width=8",
    ]
    experiment = config.load(words)
    load_and_plan(experiment)
    assert experiment.quantizers[1].options == {"lr_ratio": 0.1, "scale_factor": 1.5}
    assert experiment.averages[0].options["tolerance"] == 0.4
    assert experiment.algorithms[0].options["width"] == 8


def test_to_write_down_a_default_is_to_leave_it_out():
    written = config.load(["quantizer.lsq.scale_factor=1.0", "quantizer.lsq.averaged=null"])
    assert written.quantizers == config.load([]).quantizers
    assert config.load(["quantizer.lsq.scale_factor=1.1"]).quantizers != config.load([]).quantizers


def test_null_in_a_rule_means_float_inputs(tmp_path):
    rules = "[{pattern: 'featurizer.0', act_bits: null}, {pattern: 'classifier', weight_bits: 8}]"
    words = ["quantizer=[lsq]", "bits=4", "act_bits=4", f"quantizer.lsq.spec.rules={rules}", f"out={tmp_path}"]
    cell = load_and_plan(config.load([*words, "seeds=1", "targets=[thick]"]))[0]
    spec = cell.quantizer.spec
    assert [spec.site(n).act_bits for n in ("featurizer.0", "featurizer.3", "classifier")] == [None, 4, 4]
    assert [spec.site(n).weight_bits for n in ("featurizer.0", "featurizer.3", "classifier")] == [4, 4, 8]
    assert cell.labels.bits == "W4A4 mixed"
    with pytest.raises(ConfigError, match=r"rule\.weight_bits must be a whole number or same, got None"):
        config.load(["quantizer=[lsq]", "quantizer.lsq.spec.rules=[{pattern: 'classifier', weight_bits: null}]"])


@pytest.mark.parametrize(
    ("words", "label"),
    [
        (["model=resnet18"], "resnet18"),
        (["model=resnet18", "model.arch=resnet34"], "resnet34"),
        (["model=timm", "model.arch=deit_tiny_patch16_224"], "deit_tiny_patch16_224"),
        (["model=timm", "model.arch=deit_tiny_patch16_224", "model.name=mine"], "mine"),
        (["model=convnet"], "convnet"),
    ],
)
def test_a_network_is_called_by_its_architecture(words, label):
    assert config.load([*words, "protocol=scratch"]).setups[0].model.architecture == label


def test_the_catalogue_runs_every_quantizer():
    names = [quantizer.name for quantizer in config.load(["experiment=catalogue"]).quantizers]
    assert sorted(names) == sorted(name for group, name in FILES if group == "quantizer")
