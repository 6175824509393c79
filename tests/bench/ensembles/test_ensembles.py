"""Ensembles by hand, then of cells that a quick run has stored."""

import json

import numpy as np
import pytest
import torch

from quantdg.bench.ensembles.cells import combine_cells, open_members
from quantdg.bench.ensembles.combine import correctness, greedy, mean_logits, mean_weights
from quantdg.bench.experiment import load as config
from quantdg.bench.results.ensemble import EnsembleRecord, ensembles
from quantdg.bench.results.record import unpack_bits
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.session import run_experiment
from quantdg.core.cli import main
from quantdg.core.errors import ConfigError, RecordError
from quantdg.reports.frames.results import load
from quantdg.reports.tables.ensembles import ensembles_tables


def test_logits_are_averaged_not_probabilities_or_votes():
    members = [torch.tensor([logits]) for logits in ([9.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 5.0, 0.0])]
    mean = mean_logits(members)  # means 3, 10/3, 0; probabilities would also say 1, a sum of votes too
    assert torch.allclose(mean, torch.tensor([[3.0, 10 / 3, 0.0]]))
    sure = mean_logits([torch.tensor([logits]) for logits in ([9.0, 0.0], [0.0, 4.0], [0.0, 4.0])])
    assert sure[0].argmax() == 0  # two of three vote for 1
    assert correctness(sure.expand(2, -1), torch.tensor([0, 1])).tolist() == [True, False]


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


def test_each_row_gets_the_ensemble_of_its_seeds_once(stored, capsys):
    experiment, records = stored
    root = experiment.paths.out
    assert main(["ensemble", "--over-seeds", str(root)]) == 0
    made = {one.members: one for one in ensembles(RunStore(root))}
    assert set(made) == {tuple(records[a, seed].key for seed in (0, 1)) for a in ("erm", "coral")}
    for algorithm in ("erm", "coral"):
        by_hand = combine_cells(members(stored, (algorithm, 0), (algorithm, 1)), "logits")
        one = made[by_hand.members]
        assert (one.accuracy, one.single, one.bytes, one.seeds) == (
            by_hand.accuracy,
            by_hand.single,
            by_hand.bytes,
            (0, 1),
        )
        assert one.float_bytes == records[algorithm, 0].sizes.float_file
    assert capsys.readouterr().out.startswith("ensembles of 2 seeds: 2 added, 0 there already")
    assert main(["ensemble", "--over-seeds", f"{root}/digits/thick/*/erm"]) == 0
    assert capsys.readouterr().out.startswith("ensembles of 2 seeds: 0 added, 1 there already")
    (table,) = ensembles_tables(load(root))
    assert table.text["thick"].tolist() == [
        f"{100 * made[tuple(records[a, s].key for s in (0, 1))].accuracy:.1f}" for a in ("erm", "coral")
    ]
    assert table.text["over one float"].tolist() == ["\N{EM DASH}"] * 2  # the folder has no float row


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["/digits/thick/0/erm"], "needs a row with at least 2 finished seeds"),
        (["", "--how", "diwa"], "takes the mean of logits"),
    ],
)
def test_seeds_that_cannot_be_combined_are_refused(stored, capsys, words, says):
    experiment, _ = stored
    first, *more = words
    assert main(["ensemble", "--over-seeds", f"{experiment.paths.out}{first}", *more]) == 2
    assert says in capsys.readouterr().err


ONE = EnsembleRecord(
    key="0" * 16, members=("a" * 16, "b" * 16), seeds=(0, 1), accuracy=0.5, single=(0.4, 0.5), bytes=7, float_bytes=9
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "must have the key"),
        ({"members": ["a" * 16, "../../../etc"]}, "16 hexadecimal digits"),
        ({"schema": 2}, "has schema 2"),
        ({"accuracy": "high"}, "not a whole record of an ensemble"),
    ],
)
def test_a_stored_ensemble_that_is_none_is_refused(change, says):
    with pytest.raises(RecordError, match=says):
        EnsembleRecord.from_json(json.dumps({**json.loads(ONE.to_json()), **change}))
