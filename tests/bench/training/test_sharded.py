"""One featurizer over two processes on a CPU: every algorithm trains as in one process, and what could not is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from quantdg.bench.training.by_image import check_sites
from quantdg.bench.training.ranks import Ranks
from quantdg.core.errors import QuantizerError
from quantdg.quantizers.base import Plan
from quantdg.quantizers.insertion import insert
from quantdg.quantizers.lsq import LSQQuant
from quantdg.quantizers.rule import SiteSpec

NAMES = sorted(path.stem for path in (Path(__file__).parents[3] / "bench/conf/algorithm").glob("*.yaml"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Losses, weights and logits of each case, in one process and in each of two; both start once for all cases."""
    folder = tmp_path_factory.mktemp("two")
    program = str(Path(__file__).with_name("two_processes.py"))
    words = [[sys.executable, program, str(folder), str(rank)] for rank in (0, 1)]
    processes = [subprocess.Popen(word, stderr=subprocess.PIPE, text=True) for word in words]
    errors = [process.communicate(timeout=900)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    first, second = (torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    return first["alone"], first["together"], second["together"]


def check(trained, case):
    alone, first, second = (found[case] for found in trained)
    assert not isinstance(alone, str), alone
    assert not isinstance(first, str), first
    for one, two, other in zip(alone, first, second, strict=True):
        near = {"rtol": 1e-4, "atol": 1e-6} if "cdann" in case else {"rtol": 1e-9, "atol": 1e-11}
        torch.testing.assert_close(two, one, **near)
        torch.testing.assert_close(other, two, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_three_steps_of_every_algorithm_are_those_of_one_process(trained, name):
    """In float64, CDANN in float32, with LSQ of weights and inputs."""
    check(trained, name)


@pytest.mark.parametrize("case", ["erm live", "irm live", "fish live", "mldg live"])
def test_a_live_batchnorm_sees_the_whole_batch(trained, case):
    check(trained, case)


@pytest.mark.parametrize("case", ["gradient l1", "SAM", "EWGS", "stochastic rounding"])
def test_second_derivatives_passes_and_backwards_that_are_not_linear_are_exact_too(trained, case):
    check(trained, f"erm, {case}")


def test_weights_that_come_apart_in_one_bit_are_seen_by_all(trained):
    message = "the processes of a cell must have equal weights, but they have come apart"
    assert [found["come apart"] for found in trained] == [None, message, message]


def test_weights_that_are_quantized_in_another_way_are_refused():
    site = SiteSpec("0", 4, None, "per_tensor", symmetric=True)
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    check_sites(network, Plan((site,)), Ranks())
    with pytest.raises(QuantizerError, match=r"processes=2 needs weights quantized by fake quantizers of Site.*'0' is"):
        check_sites(network, Plan((site,)), Ranks(count=2))
    assert insert(network, "0", "weight", LSQQuant(4), act_quant=None).name == "0"
    check_sites(network, Plan((site,)), Ranks(count=2))


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("MixStyle", "something watches or changes features in the middle of it, at '2'"),
        ("inputs' gradients", "something watches or changes features in the middle of it, at '0'"),
        ("dropout", "something in it draws random numbers, as dropout does"),
        ("moving ranges", "something in it keeps statistics of features, as an input's quantizer with a moving range"),
        ("scale that counts images", "a quantizer of inputs computes or learns otherwise on a part of a batch"),
    ],
)
def test_what_looks_at_more_than_one_image_is_refused_by_all(trained, case, why):
    one, *two = (found[f"erm, {case}"] for found in trained)
    assert not isinstance(one, str)
    rule = "protocol.processes=2 needs a featurizer that treats each image by itself"
    assert two == [f"{rule}, but {why}; write protocol.processes=1, or leave that part out"] * 2
