"""Each configuration file builds a quantizer that supports its own spec."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from quantdg.quantizers.base import Quantizer
from quantdg.quantizers.contract.toy_net import float_net
from quantdg.quantizers.spec import QuantSpec, Rule

FILES = sorted((Path(__file__).parents[2] / "bench" / "conf" / "quantizer").glob("*.yaml"))


def build(path):
    node = OmegaConf.to_container(OmegaConf.load(path))
    module, _, name = node.pop("_target_").rpartition(".")
    spec = node.pop("spec")
    spec = spec and QuantSpec(**{**spec, "rules": tuple(Rule(**rule) for rule in spec["rules"])})
    return getattr(import_module(module), name)(spec=spec, seed=1, **node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_builds_its_quantizer(path):
    assert path.read_text(encoding="utf-8").startswith(f"# @package quantizer.{path.stem}\n")
    quantizer = build(path)
    assert isinstance(quantizer, Quantizer)
    assert path.stem.startswith(quantizer.name)
    assert quantizer.supports(float_net(), quantizer.spec).ok


def test_every_quantizer_has_a_file():
    names = {p.stem for p in FILES}
    assert names >= {"float", "lsq", "pact", "apot", "dorefa", "inq", "torch_ao", "torch_ao_learnable"}
    assert names >= {"nni_qat", "nni_lsq", "nni_lsq_paper"}
    assert names >= {"freeze", "round_freeze", "uniform_noise"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_the_default_spec_but_for_its_bits(path):
    """The default stands in one place, `QuantSpec`; files repeat it so that a command line can reach inside."""
    spec = OmegaConf.to_container(OmegaConf.load(path))["spec"]
    if spec is not None:
        rules = tuple(Rule(**rule) for rule in spec["rules"])
        found = QuantSpec(**{**spec, "rules": rules})
        bits = replace(found, weight_bits=7)
        bits = bits if build(path).supports(float_net(), bits).ok else found
        assert replace(found, act_bits=None, symmetric=True) == QuantSpec(
            bits.weight_bits, granularity=found.granularity
        )
