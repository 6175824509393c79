"""A GPU computes what a CPU does, repeats it bit for bit, and is never waited for inside a step."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from quantdg.bench.cells.execute import open_data
from quantdg.bench.sweep.session import load_and_plan
from quantdg.bench.training.branch import insert_quantizer, train_branch
from quantdg.bench.training.checkpoint import capture
from quantdg.bench.training.float_phase import build, float_phase, train_step
from quantdg.quantizers.draws import Draws
from quantdg.quantizers.lsq import LSQ

ALGORITHMS = sorted(path.stem for path in (Path(__file__).parents[3] / "bench/conf/algorithm").glob("*.yaml"))


@contextmanager
def refusing_waits(device, known=False):
    """Let torch raise where a call waits for the GPU."""
    if device == "cpu" or known:
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def trained(prepared, name, device, known):
    algorithm, quantizer, batches = prepared(name, device)
    losses = []
    for step in (1, 2, 3):
        with refusing_waits(device, known or step == 1):
            losses.append(algorithm.update(batches)["loss"])
            quantizer.on_step(algorithm.network, step)
        if step == 1:
            gradients = {n: p.grad.clone() for n, p in algorithm.network.named_parameters() if p.grad is not None}
    if quantizer.post_training:
        quantizer.calibrate(algorithm.network, [x for x, _ in batches])
    drawn = quantizer.name in ("ewgs", "brecq") or any(isinstance(m, Draws) for m in algorithm.network.modules())
    return [float(loss) for loss in losses], gradients, quantizer.export(algorithm.network), drawn


def test_every_quantizer_agrees_with_the_cpu(prepared, quantizer_name, device, waits):
    """Losses, the first gradients, and the codes after three steps; a code may differ where a value lies between two."""
    losses, gradients, sites, drawn = trained(prepared, quantizer_name, "cpu", known=True)
    theirs, theirs_gradients, theirs_sites, _ = trained(prepared, quantizer_name, device, quantizer_name in waits)
    assert theirs == pytest.approx(losses, rel=0.3)
    if drawn and device != "cpu":
        return  # a GPU draws other numbers
    assert theirs[0] == pytest.approx(losses[0], rel=1e-3)
    assert theirs == pytest.approx(losses, rel=1e-2)
    assert gradients.keys() == theirs_gradients.keys()
    largest = max(float(g.norm()) for g in gradients.values())
    for name, expected in gradients.items():
        assert (
            float((theirs_gradients[name].cpu() - expected).norm()) < 1e-2 * float(expected.norm()) + 1e-4 * largest
        ), name
    for name, site in sites.items():
        difference = (theirs_sites[name].weight.codes.cpu() != site.weight.codes).float().mean()
        assert difference < 0.02, name


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_agrees_with_the_cpu(quick, name, device, waits):
    """Four steps of a real cell with LSQ, data and augmentation included; only the first may wait."""
    cell = load_and_plan(quick(f"algorithm=[{name}]", "quantizer=[lsq]", "act_bits=8"))[0]
    found = []
    for where in ("cpu", device):
        data = open_data(cell.group, quick().paths, where)
        algorithm, quantizer, _ = insert_quantizer(cell, data, capture(build(cell.group, data)))
        losses = []
        for step in (1, 2, 3, 4):
            with refusing_waits(where, step == 1 or name in waits):
                losses.append(train_step(algorithm, data, step)["loss"])
                quantizer.on_step(algorithm.network, step)
        found.append([float(loss) for loss in losses])
    assert found[1][0] == pytest.approx(found[0][0], rel=2e-3, abs=1e-4)
    assert found[1] == pytest.approx(found[0], rel=5e-2, abs=1e-2)


@pytest.mark.parametrize("quantizer", ["float", "lsq"])
def test_a_cell_repeats_bit_for_bit(quick, tmp_path, quantizer, device):
    cell = load_and_plan(quick(f"quantizer=[{quantizer}]"))[0]
    digests = []
    for attempt in ("a", "b"):
        data = open_data(cell.group, quick().paths, device)
        state = float_phase(cell.group, data, tmp_path / attempt, lambda _: None)
        branch = train_branch(cell, data, state, lambda _: None)
        digests.append({n: t.cpu() for n, t in capture(branch.algorithm).items()})
        assert branch.step_ms > 0
    assert all(torch.equal(digests[0][n], t) for n, t in digests[1].items())


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_steps_on_photographs_repeat_bit_for_bit(training, precision, dry):
    if dry and precision == "tf32":
        pytest.skip("a CPU has no TF32")
    runs = [training(precision=precision, quantizer=LSQ()) for _ in range(2)]
    states = []
    for run in runs:
        losses = [float(run.step()["loss"]) for _ in range(3)]
        assert np.isfinite(losses).all()
        states.append({n: p.detach().cpu() for n, p in run.algorithm.named_parameters()})
    assert all(torch.equal(states[0][n], p) for n, p in states[1].items())
