"""Paths and names of domains are text, whatever they look like to Hydra."""

from pathlib import Path

import pytest

from quantdg.bench.experiment import load as config
from quantdg.bench.experiment.quoting import quote_words
from quantdg.core.errors import ConfigError

ODD = [
    "~/x",
    "/dätä/日本",
    "/a=b",
    "/a(b)",
    "/a[1]",
    "/a{1}",
    "a,b",
    "1e3",
    "007",
    "7",
    "true",
    "inf",
    "a'b",
    'a"b',
    "a#b;c!",
    "a b",
]


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("key", ["out", "data.root", "data.cache"])
def test_any_path_is_taken_as_it_is_written(key, text):
    paths = config.load([f"{key}={text}"]).paths
    found = {"out": paths.out, "data.root": paths.data_root, "data.cache": paths.cache}[key]
    assert found == Path(text).expanduser()


@pytest.mark.parametrize(
    ("word", "targets"),
    [
        ("targets=[007,1e3]", ("007", "1e3")),
        ("targets=1e3", ("1e3",)),
        ("targets=[größe, Real World]", ("größe", "Real World")),
        ("targets=['1e3',x]", ("1e3", "x")),
        ("targets=all", None),
    ],
)
def test_domains_are_named_as_their_folders(word, targets):
    assert config.load([word]).targets == targets


def test_domains_of_the_data_set_are_text():
    assert config.load(["dataset=folder", "dataset.domains=[007,1e3]"]).setups[0].dataset.options["domains"] == [
        "007",
        "1e3",
    ]


@pytest.mark.parametrize(
    "word",
    ["out='a,b'", "out=null", "out=", "seeds=[0,4]", "protocol.lr=1e-3", "~protocol.lr", "out=${data.root}", "=3"],
)
def test_what_hydra_reads_right_is_left_alone(word):
    assert quote_words([word]) == [word]


def test_a_word_of_any_alphabet():
    assert config.load(["protocol.name=größe"]).setups[0].protocol.name == "größe"


@pytest.mark.parametrize("word", ["seeds=[", "quantizer=[float", "targets=["])
def test_a_broken_list_is_an_error(word):
    with pytest.raises(ConfigError):
        config.load([word])
