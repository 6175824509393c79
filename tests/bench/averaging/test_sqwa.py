"""SQWA by hand, its properties over grids, and as a part of a training that is cut short, resumed and stored."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from quantdg.bench.averaging.sqwa import SQWA
from quantdg.bench.results.store import RunStore
from quantdg.bench.sweep.session import load_and_plan, run_experiment
from quantdg.bench.training import averaging
from quantdg.bench.training.branch import insert_quantizer, train_branch
from quantdg.bench.training.checkpoint import capture
from quantdg.bench.training.checkpointer import Checkpointer, StoppedError
from quantdg.bench.training.float_phase import float_phase
from quantdg.core.errors import ConfigError
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.mse import MSE
from quantdg.quantizers.spec import QuantSpec

LATENTS = [(0.6, -0.4, 1.4, -0.9), (0.4, -0.6, 0.9, -1.1), (0.7, -0.7, 0.2, -0.4)]
TERNARY = QuantSpec(weight_bits=2, granularity="per_tensor", rules=())
WORDS = ("averaging=[sqwa]", "averaging.sqwa.cycles=3", "averaging.sqwa.captures=2", "averaging.sqwa.tail=0.14")


def begun(start=0, steps=10, **options):
    average = SQWA(**options)
    average.begin(start, steps)
    return average


def fed(values, **options):
    average = SQWA(captures=len(values), **options)
    for step, value in enumerate(values):
        average.after_step(step, {"w": torch.tensor(value)})
    return average


def test_the_protocol_of_the_paper_gives_nine_cycles_of_a_check_interval():
    average = begun(2000, 5000)
    assert [s for s in range(2001, 5001) if average.captures(s)] == list(range(2900, 4701, 300))
    assert [s for s in range(2001, 5001) if average.replaces(s)] == [4700]
    rates = [average.factor(s) for s in (2001, 2300, 2301, 4700, 4701, 5000)]
    assert rates == pytest.approx([1, 0.01, 1, 0.01, 0.01, 0.01])


def test_captures_are_at_the_minima_and_steps_left_over_come_first_at_the_whole_rate():
    average = begun(10, 33, cycles=2, captures=2, tail=0.1, floor=0.2)  # 2 of tail, 21 in two cycles of 10
    rates = [average.factor(s) for s in range(11, 34)]
    assert [s for s in range(11, 34) if average.captures(s)] == [21, 31]
    assert rates[0] == rates[1] == 1
    assert [11 + i for i, r in enumerate(rates) if r == pytest.approx(0.2)] == [21, 31, 32, 33]


def test_triangles_are_captured_in_their_middle_and_the_last_one_opens_the_tail():
    average = begun(10, 33, cycles=3, captures=2, tail=0.1, floor=0.2, shape="triangle")
    # 2 steps of tail, so 21 in which two triangles of 8 and a half lie: minima at steps 15, 23 and 31, tops at 11, 19 and 27
    assert [s for s in range(11, 34) if average.captures(s)] == [23, 31]
    assert [s for s in range(11, 34) if average.replaces(s)] == [31]
    falling, climbing = [1, 0.8, 0.6, 0.4], [0.2, 0.4, 0.6, 0.8]
    rates = [average.factor(s) for s in range(11, 34)]
    assert rates == pytest.approx([*falling, *climbing, *falling, *climbing, *falling, 0.2, 0.2, 0.2])


@pytest.mark.parametrize(("start", "steps", "cycles"), [(2000, 5000, 9), (0, 7, 3), (3, 40, 1), (5, 60, 4)])
def test_every_triangle_lies_within_the_quantized_steps(start, steps, cycles):
    average = begun(start, steps, cycles=cycles, captures=cycles, tail=0.1, shape="triangle")
    taken = [s for s in range(start + 1, steps + 1) if average.captures(s)]
    assert len(taken) == cycles
    assert [average.factor(s) for s in taken] == pytest.approx([0.01] * cycles)
    tops = [s for s in range(start + 1, taken[-1]) if average.factor(s) == 1]
    assert tops[0] == start + 1
    assert average.factor(start + 1) == 1


def test_ternary_captures_by_hand():
    quantized = [tuple(max(-1.0, min(1.0, float(torch.tensor(v).round()))) for v in w) for w in LATENTS]
    assert quantized == [(1, 0, 1, -1), (0, -1, 1, -1), (1, -1, 0, 0)]
    mean = fed(quantized).result()[1]["w"]
    assert mean.tolist() == pytest.approx([2 / 3, -2 / 3, 2 / 3, -2 / 3])
    assert mean.round().tolist() == [1, -1, 1, -1]
    latent = fed(LATENTS).result()[1]["w"]
    assert latent.tolist() == pytest.approx([0.5667, -0.5667, 0.8333, -0.8], abs=1e-4)


@pytest.mark.parametrize("captured", [[(1.0, 0, 1, -1), (0.0, -1, 1, -1), (1.0, -1, 0, 0)], LATENTS])
def test_a_least_squares_refit_by_hand(captured):
    # the scales are 2/3 (the mean of the ternary captures is then exact) and .69167 (of the latents)
    layer = nn.Sequential(nn.Linear(4, 1, bias=False))
    quantizer = MSE(TERNARY, narrow=True, averaged="recalibrate")
    quantizer.prepare(layer, torch.zeros(1, 4))
    averaging.set_weights(layer, {"0.weight": fed(captured).result()[1]["w"].reshape(1, 4)})
    quantizer.after_average(layer, [torch.zeros(1, 4)])
    wanted = 2 / 3 if captured is not LATENTS else 0.69167
    assert layer[0].weight[0].tolist() == pytest.approx(
        [wanted, -wanted, wanted, -wanted], abs=1e-2
    )  # mse searches in steps of 1 %


def lsq(bits=2):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    quantizer = LSQ(QuantSpec(weight_bits=bits, granularity="per_tensor", rules=()))
    quantizer.prepare(network, torch.rand(2, 3, 8, 8))
    return network.eval(), quantizer


def test_equal_captures_are_a_fixed_point_bit_for_bit():
    network, quantizer = lsq()
    x = torch.rand(4, 3, 8, 8)
    before, state = network(x), copy.deepcopy(network.state_dict())
    average = begun(0, 14, cycles=7, tail=0.0)
    for step in range(1, 15):
        averaging.observe({"sqwa": average}, step, network, quantizer)
    assert average.report() == {"captures": [2, 4, 6, 8, 10, 12, 14], "differing": 0, "parameters": 6}
    averaging.set_weights(network, average.result()[1])
    assert torch.equal(network(x), before)
    latent = fed([[0.1, 0.3]] * 7).result()[1]["w"].float()
    assert torch.equal(latent, torch.tensor([0.1, 0.3]))
    assert not torch.equal(network.state_dict()["0.weight"], state["0.weight"])  # it is on the grid now


@pytest.mark.parametrize("bits", [2, 3])
def test_a_mean_has_no_more_levels_than_k_models_can_give(bits):
    network, quantizer = lsq(bits)
    levels, count = 2**bits, 5
    average = begun(0, 10, cycles=count, captures=count, tail=0.0)
    for step in range(1, 11):
        with torch.no_grad():
            network[3]._parameters["weight"].normal_(std=0.1)
        averaging.observe({"sqwa": average}, step, network, quantizer)
    mean = average.result()[1]["3.weight"]
    codes = mean * count / network[3].weight_quant.step_size.item()
    assert torch.allclose(codes, codes.round(), atol=1e-4)
    assert levels < len(codes.round().unique()) <= count * (levels - 1) + 1
    assert average.report()["differing"] == 1


def trained(cell, tmp_path, *words, checkpointer=None):
    chosen, data = cell(*WORDS, *words)
    state = float_phase(chosen.group, data, tmp_path / "float.safetensors", lambda _: None)
    return train_branch(chosen, data, state, lambda _: None, checkpointer=checkpointer)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_both_modes_coincide_in_float_and_differ_under_a_quantizer(cell, tmp_path):
    for quantizer, same in (("float", True), ("lsq", False)):
        branches = [
            trained(cell, tmp_path, f"quantizer=[{quantizer}]", f"averaging.sqwa.mode={mode}")
            for mode in ("quantized", "latent")
        ]
        assert equal(*(capture(b.algorithm) for b in branches)) is same


def test_in_float_it_is_the_mean_of_the_captures(cell, tmp_path):
    words = ("quantizer=[float]", "averaging.sqwa.tail=0", "averaging.sqwa.captures=3")
    chosen, data = cell(*WORDS, *words)
    state = float_phase(chosen.group, data, tmp_path / "float.safetensors", lambda _: None)
    seen = {}
    original = SQWA.after_step

    def note(self, step, weights):
        seen[step] = {n: w.detach().clone() for n, w in weights.items()}
        original(self, step, weights)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SQWA, "after_step", note)
        branch = train_branch(chosen, data, state, lambda _: None)
    assert list(seen) == [8, 10, 12]
    for name, value in branch.algorithm.network.named_parameters():
        assert torch.allclose(value, sum(s[name] for s in seen.values()) / 3, atol=1e-7)


@pytest.mark.parametrize("stop_after", [4, 6])
def test_a_resumed_run_captures_the_same_models_bit_for_bit(cell, tmp_path, stop_after):
    whole = trained(cell, tmp_path)
    path, steps = tmp_path / "snapshot.safetensors", iter(range(1, 100))
    first = Checkpointer(path, stop=lambda: next(steps) >= stop_after)
    with pytest.raises(StoppedError):
        trained(cell, tmp_path, checkpointer=first)
    resumed = trained(cell, tmp_path, checkpointer=Checkpointer(path))
    assert equal(capture(whole.algorithm), capture(resumed.algorithm))
    assert resumed.averaged == whole.averaged
    assert resumed.averaged["captures"] == [9, 11]
    chosen = [{rule: c.step for rule, c in b.selection.chosen.items()} for b in (whole, resumed)]
    assert chosen[0] == chosen[1]
    assert min(chosen[0].values()) >= 11


def test_what_is_measured_and_stored_is_the_average(quick):
    experiment = quick(*WORDS, "quantizer=[float,lsq]", "protocol.check_every=1")
    run_experiment(experiment)
    records = list(RunStore(experiment.paths.out).records())
    assert [r.status for r in records] == ["done", "done"]
    assert {r.labels.algorithm for r in records} == {"erm+sqwa"}
    for record in records:
        assert set(record.rows) == {"iid", "last", "oracle"}
        assert all(row.step >= 11 for row in record.rows.values())
        assert record.plan["averaged"]["step"] == 11
        assert len(record.curve) == 7


def test_it_branches_from_the_same_float_phase(quick):
    (plain, *_), (averaged, *_) = load_and_plan(quick()), load_and_plan(quick(*WORDS))
    assert plain.group.key == averaged.group.key
    assert plain.key != averaged.key


def test_quantized_weights_are_those_of_the_forward(cell, tmp_path):
    chosen, data = cell(*WORDS, "quantizer=[lsq]")
    state = float_phase(chosen.group, data, tmp_path / "float.safetensors", lambda _: None)
    algorithm, quantizer, _ = insert_quantizer(chosen, data, state)
    found = averaging.computed_with(algorithm.network, quantizer)
    assert found.keys() == {f"featurizer.{i}.weight" for i in (0, 3, 6)}
    for name, value in found.items():
        module = algorithm.network.get_submodule(name.removesuffix(".weight"))
        assert torch.equal(value, module.weight)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["averaging=[sqwa,swad]"], "must be the only one, SQWA is one of 2"),
        (
            ["averaging=[sqwa]", "averaging.sqwa.cycles=9"],
            r"9 cycles in 6 steps; write averaging.sqwa.cycles=3 or less",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_trained(quick, words, message):
    with pytest.raises(ConfigError, match=message):
        load_and_plan(quick(*words))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "codes"}, "averaging.sqwa.mode must be one of quantized, latent, got 'codes'"),
        ({"captures": 10}, "averaging.sqwa.captures must be 1 to cycles, 9, got 10"),
        ({"tail": 1.0}, "tail from 0 to below 1 and floor above 0 to 1, got 1.0 and 0.01"),
    ],
)
def test_wrong_settings_are_answered_with_what_to_write(options, message):
    with pytest.raises(ConfigError, match=message):
        SQWA(**options)
