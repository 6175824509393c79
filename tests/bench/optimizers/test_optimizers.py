"""One step of each optimizer worked out by hand, and the harness's promises with each of them."""

import subprocess
import sys

import pytest
import torch

from quantdg.bench.algorithms.mldg import MLDG
from quantdg.bench.experiment.component import import_object
from quantdg.bench.experiment.offers import offers
from quantdg.bench.models.base import DGModel
from quantdg.bench.optimizers.adam import adam
from quantdg.bench.optimizers.adamw import adamw
from quantdg.bench.optimizers.sgd import sgd
from quantdg.bench.training import branch, float_phase
from quantdg.core.cli import main

LR, DECAY, W, G = 0.1, 0.5, 2.0, 4.0


def after(build, steps, **options):
    """A weight of 2 after steps with a gradient of 4."""
    weight = torch.nn.Parameter(torch.tensor([W], dtype=torch.float64))
    optimizer = build([weight], lr=LR, weight_decay=DECAY, **options)
    for _ in range(steps):
        weight.grad = torch.tensor([G], dtype=torch.float64)
        optimizer.step()
    return float(weight.detach())


def test_adam_decays_through_the_gradient():
    assert after(adam, 1) == pytest.approx(W - LR, rel=1e-7)  # g / |g|, whatever the decay adds


def test_adamw_decays_the_weight():
    assert after(adamw, 1) == pytest.approx(W * (1 - LR * DECAY) - LR, rel=1e-7)


def test_sgd_with_momentum():
    first = W - LR * (G + DECAY * W)  # 1.5
    velocity = 0.9 * (G + DECAY * W) + G + DECAY * first  # 9.25
    assert after(sgd, 2) == pytest.approx(first - LR * velocity)


def test_nesterov_looks_ahead():
    gradient = G + DECAY * W
    assert after(sgd, 1, nesterov=True) == pytest.approx(W - LR * (gradient + 0.9 * gradient))


@pytest.mark.parametrize("name", sorted(offers("optimizer")))
def test_each_trains_a_branch_the_same_twice(name, cell, tmp_path):
    chosen, data = cell("quantizer=[lsq]", f"optimizer={name}", "algorithm=[dann]")
    state = float_phase.float_phase(chosen.group, data, tmp_path / "float.safetensors", lambda _: None)
    first = branch.train_branch(chosen, data, state, lambda _: None).algorithm.state_dict()
    again = branch.train_branch(chosen, data, state, lambda _: None).algorithm.state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)


@pytest.mark.parametrize("name", sorted(offers("optimizer")))
def test_mldg_steps_inside_as_its_optimizer_would(name):
    torch.manual_seed(0)
    network = DGModel(torch.nn.Flatten(), 4, 3)
    build = import_object(offers("optimizer")[name].target)
    mldg = MLDG(network, 2, lambda p: build(p, lr=LR, weight_decay=DECAY))
    weights = list(network.parameters())
    gradient = [torch.randn_like(w) for w in weights]
    before = [w.detach().clone() for w in weights]
    with mldg._stepped(weights, gradient):
        inside = [w.detach().clone() for w in weights]
    assert all(torch.equal(w, b) for w, b in zip(weights, before, strict=True))
    for w, g in zip(weights, gradient, strict=True):
        w.grad = g
    mldg.optimizer.step()
    for w, moved in zip(weights, inside, strict=True):
        torch.testing.assert_close(w.detach(), moved, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["optimizer=sdg"], "did you mean 'sgd'?"),
        (["optimizer=sgd", "optimizer.momentum=much"], "sgd.momentum must be a number, got 'much'"),
        (["optimizer=adam", "optimizer.momentum=0.9"], "momentum"),
        (["optimizer=sam"], "no optimizer named 'sam'"),
    ],
)
def test_wrong_words(words, reason, tmp_path, capsys):
    assert main(["run", "--plan", *words, f"out={tmp_path / 'runs'}"]) == 2
    assert reason in capsys.readouterr().err


def test_building_an_optimizer_does_not_import_the_compiler():
    code = """
import sys, torch
from quantdg.bench.optimizers.adam import adam
adam(torch.nn.Linear(2, 2).parameters(), lr=0.1, weight_decay=0.0)
print([name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
