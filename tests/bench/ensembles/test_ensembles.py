"""Ensembles by hand, then of cells that a quick run has stored."""

import numpy as np
import pytest
import torch
from torch import nn

from quantdg.bench.ensembles.cells import combine_cells, open_members
from quantdg.bench.ensembles.combine import correctness, greedy, mean_logits, mean_weights
from quantdg.bench.experiment import load as config
from quantdg.bench.results.record import unpack_bits
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.session import run_experiment
from quantdg.core.errors import ConfigError


class Constant(nn.Module):
    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def test_logits_are_averaged_not_probabilities_or_votes():
    members = [Constant(9.0, 0.0, 0.0), Constant(0.0, 5.0, 0.0), Constant(0.0, 5.0, 0.0)]
    predict = mean_logits(members)  # means 3, 10/3, 0; probabilities would also say 1, a sum of votes too
    assert torch.allclose(predict(torch.zeros(2, 1)), torch.tensor([3.0, 10 / 3, 0.0]).expand(2, -1))
    sure = mean_logits([Constant(9.0, 0.0), Constant(0.0, 4.0), Constant(0.0, 4.0)])
    assert sure(torch.zeros(1, 1)).argmax() == 0  # two of three vote for 1
    labels = torch.tensor([0, 1])
    assert correctness(sure, [(torch.zeros(2, 1), labels)]).tolist() == [True, False]


def test_the_mean_of_weights_leaves_buffers_as_in_the_first():
    states = [{"w": torch.tensor([v]), "n": torch.tensor(i)} for i, v in enumerate((1.0, 2.0, 6.0))]
    mean = mean_weights(states, ["w"])
    assert (mean["w"].tolist(), mean["n"].item(), mean["w"].dtype) == ([3.0], 0, torch.float32)


def test_greedy_keeps_a_member_only_where_the_mean_gets_no_worse():
    states = [{"w": torch.tensor([v])} for v in (0.0, 10.0, 2.0)]

    def score(state):  # best at 1
        return -abs(float(state["w"]) - 1)

    mean, kept = greedy(states, [0.8, 0.7, 0.9], ["w"], score)
    assert kept == [2, 0]  # starts with the best, 2; (2 + 0) / 2 = 1 is better; with 10 it is worse
    assert mean["w"].tolist() == [1.0]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs") / "runs"
    quick = ["targets=[thick]", "protocol.steps=12", "protocol.start_step=5", "protocol.check_every=2", "model.width=4"]
    words = [*quick, "launcher.jobs=0", f"out={root}", "seeds=2", "algorithm=[erm,coral]", "quantizer=[lsq]"]
    experiment = config.load([*words, "quantizer.lsq.spec.act_bits=8"])
    assert run_experiment(experiment) == 0
    return experiment, {(r.labels.algorithm, r.labels.seed): r for r in RunStore(root).records()}


def members(stored, *which):
    experiment, records = stored
    return open_members([str(experiment.paths.out / records[w].key) for w in which], experiment.paths)


def test_members_predict_as_when_they_were_trained_and_all_bytes_count(stored):
    _, records = stored
    which = [("erm", 0), ("erm", 1), ("coral", 0)]
    result = combine_cells(members(stored, *which), "logits")
    for key, accuracy in zip(which, result.single, strict=True):
        record = records[key]
        # 8-bit inputs: a value between two codes may round either way in another batch size
        assert accuracy == pytest.approx(unpack_bits(record.rows["iid"].correct, record.target_count).mean(), abs=0.01)
    assert result.bytes == sum(records[key].sizes.packed_file for key in which)
    assert result.members == tuple(records[key].key for key in which)
    assert result.accuracy == pytest.approx(result.correct.mean())
    assert len(result.correct) == records["erm", 0].target_count


def test_diwa_needs_members_that_start_from_the_same_weights(stored):
    with pytest.raises(ConfigError, match=r"runs that start from the same weights, but .* has seed=1 and .* has 0"):
        combine_cells(members(stored, ("erm", 0), ("erm", 1)), "diwa")
    with pytest.raises(ConfigError, match="how must be one of logits, diwa, diwa_greedy, got 'vote'"):
        combine_cells(members(stored, ("erm", 0), ("coral", 0)), "vote")
    with pytest.raises(ConfigError, match="needs at least two cells, got 1"):
        members(stored, ("erm", 0))


@pytest.mark.parametrize("how", ["diwa", "diwa_greedy"])
def test_diwa_is_one_float_model(stored, how):
    _, records = stored
    pair = members(stored, ("erm", 0), ("coral", 0))
    result = combine_cells(pair, how)
    assert 1 <= len(result.members) <= 2
    assert result.bytes == pytest.approx(records["erm", 0].sizes.float_file, rel=0.01)
    assert 0 < result.accuracy <= 1
    assert np.isfinite(result.single).all()
