"""Pairing, branching and optimizer truth, on real training steps."""

import pytest
import torch
from torch import nn

from quantdg.bench.experiment.protocol import train_mode
from quantdg.bench.training import branch as branches
from quantdg.bench.training import float_phase
from quantdg.bench.training.checkpoint import capture, load_state, restore, save_state
from quantdg.bench.training.optimizer_check import check_groups
from quantdg.core.errors import QuantizerError, RecordError
from quantdg.quantizers.lsq import LSQ


def ignore(_steps):
    pass


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_branch_equals_the_same_run_alone_without_any_checkpoint(cell, tmp_path):
    chosen, data = cell("quantizer=[lsq]")
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
    branch = branches.train_branch(chosen, data, state, ignore)

    protocol = chosen.group.protocol
    alone = float_phase.build(chosen.group, data)
    train_mode(alone, freeze_bn=False)
    for step in range(1, protocol.start_step + 1):
        float_phase.train_step(alone, data, step)
    quantizer = chosen.quantizer.create(data.seeds.of("quantizer"))
    batches = list(data.calibration())
    quantizer.prepare(alone.network, batches[0])
    quantizer.calibrate(alone.network, batches)
    for group in quantizer.param_groups(alone.network, protocol.lr):
        alone.optimizer.add_param_group(group)
    train_mode(alone, freeze_bn=True)
    for step in range(protocol.start_step + 1, protocol.steps + 1):
        float_phase.train_step(alone, data, step)
        quantizer.on_step(alone.network, step - protocol.start_step)

    assert equal(capture(branch.algorithm), capture(alone))


def test_a_branch_does_not_depend_on_the_branches_before_it(cell, tmp_path):
    (first, data), (second, fresh) = cell("quantizer=[uniform_noise]"), cell("quantizer=[lsq]")
    path = tmp_path / "float.safetensors"
    state = float_phase.float_phase(first.group, data, path, ignore)
    branches.train_branch(first, data, state, ignore)
    after = branches.train_branch(second, data, state, ignore)
    alone = branches.train_branch(second, fresh, float_phase.float_phase(second.group, fresh, path, ignore), ignore)
    assert equal(capture(after.algorithm), capture(alone.algorithm))


@pytest.mark.parametrize("quantizer", ["float", "lsq", "pact", "freeze", "round_freeze", "uniform_noise"])
def test_what_should_move_moves_and_what_is_frozen_stays(cell, tmp_path, quantizer):
    chosen, data = cell(f"quantizer=[{quantizer}]")
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
    algorithm, _, _ = branches.insert_quantizer(chosen, data, state)
    before = {n: p.detach().clone() for n, p in algorithm.named_parameters()}
    trainable = {n for n, p in algorithm.named_parameters() if p.requires_grad}
    frozen = set(before) - trainable
    branch = branches.train_branch(chosen, data, state, ignore)
    moved = {n for n, p in branch.algorithm.named_parameters() if not torch.equal(p, before[n])}
    assert moved == trainable
    convolutions = {f"network.featurizer.{i}.weight" for i in (0, 3, 6)}
    assert frozen == (convolutions if "freeze" in quantizer else set())


def test_adam_state_survives_prepare(cell, tmp_path):
    chosen, data = cell("quantizer=[lsq]")
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
    algorithm, _, names = branches.insert_quantizer(chosen, data, state)
    for name, parameter in algorithm.named_parameters():
        if name.removeprefix("network.") in names:
            moments = algorithm.optimizer.state[parameter]
            assert torch.equal(moments["exp_avg"], state[f"optimizer.exp_avg.{name}"])
            assert moments["exp_avg"].abs().sum() > 0
            assert float(moments["step"]) == chosen.group.protocol.start_step


def test_the_quantizers_group_has_its_own_rate_and_no_weight_decay(cell, tmp_path):
    chosen, data = cell("quantizer=[lsq]", "protocol.weight_decay=0.1", "quantizer.lsq.lr_ratio=0.5")
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
    algorithm, quantizer, _ = branches.insert_quantizer(chosen, data, state)
    base, own = algorithm.optimizer.param_groups
    assert (base["weight_decay"], own["weight_decay"]) == (0.1, 0.0)
    assert own["lr"] == pytest.approx(0.5 * base["lr"])
    assert len(own["params"]) == len(quantizer.plan.parameters) == 3


def test_check_groups_names_what_the_released_code_forgot():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten())
    optimizer = torch.optim.Adam(model.parameters())
    model[0].weight = nn.Parameter(model[0].weight.detach().clone())
    with pytest.raises(QuantizerError, match=r"1 are in none, first '0\.weight'"):
        check_groups(optimizer, model)
    optimizer.add_param_group({"params": [model[0].weight]})
    with pytest.raises(QuantizerError, match="1 of its parameters are not"):
        check_groups(optimizer, model)


def test_a_state_survives_the_file(cell, tmp_path):
    chosen, data = cell()
    algorithm = float_phase.build(chosen.group, data)
    float_phase.train_step(algorithm, data, 1)
    state = capture(algorithm)
    save_state(tmp_path / "s.safetensors", state, 1)
    loaded = load_state(tmp_path / "s.safetensors", "cpu", 1)
    assert equal(state, loaded)
    again = float_phase.build(chosen.group, data)
    restore(again, loaded)
    float_phase.train_step(algorithm, data, 2)
    float_phase.train_step(again, data, 2)
    assert equal(capture(algorithm), capture(again))


def test_half_a_checkpoint_is_an_error_and_is_trained_again(cell, tmp_path):
    chosen, data = cell()
    path = tmp_path / "float.safetensors"
    whole = float_phase.float_phase(chosen.group, data, path, ignore)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RecordError, match="is not the float phase it is named after"):
        load_state(path, "cpu", chosen.group.protocol.start_step)
    assert equal(float_phase.float_phase(chosen.group, data, path, ignore), whole)


def test_the_float_phase_is_read_not_trained_where_it_exists(cell, tmp_path):
    chosen, data = cell()
    steps = []
    for _ in range(2):
        float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", steps.append)
    assert sum(steps) == chosen.group.protocol.start_step


def test_frozen_batch_norm_keeps_its_statistics_and_trains_its_affine_part(cell, tmp_path):
    chosen, data = cell("quantizer=[float]")
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
    branch = branches.train_branch(chosen, data, state, ignore)
    now = capture(branch.algorithm)
    assert torch.equal(now["network.featurizer.1.running_mean"], state["network.featurizer.1.running_mean"])
    assert not torch.equal(now["network.featurizer.1.weight"], state["network.featurizer.1.weight"])
    fresh = float_phase.build(chosen.group, data)
    assert not torch.equal(state["network.featurizer.1.running_mean"], fresh.network.featurizer[1].running_mean)


def test_selection_never_sees_a_checkpoint_at_or_before_the_quantization_step(cell, tmp_path):
    chosen, data = cell("quantizer=[lsq]")
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", ignore)
    branch = branches.train_branch(chosen, data, state, ignore)
    assert [point["step"] for point in branch.curve] == [7, 9, 11, 12]
    assert all(c.step > 5 for c in branch.selection.chosen.values())


def test_lsq_is_what_the_configuration_names(cell):
    chosen, _ = cell("quantizer=[lsq]")
    assert isinstance(chosen.quantizer.create(0), LSQ)
