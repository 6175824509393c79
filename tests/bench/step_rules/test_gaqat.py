"""The controller of scales: its metric by hand, what it freezes and when, and its counters in a checkpoint."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from quantdg.bench.algorithms.base import Algorithm
from quantdg.bench.models.base import DGModel
from quantdg.bench.results.store import RunStore
from quantdg.bench.step_rules.base import StepRule
from quantdg.bench.step_rules.gaqat import GAQAT, disorder
from quantdg.bench.step_rules.sagm import SAGM
from quantdg.bench.sweep.session import run_experiment
from quantdg.bench.training.branch import train_branch
from quantdg.bench.training.checkpoint import capture, restore
from quantdg.bench.training.checkpointer import Checkpointer, StoppedError
from quantdg.bench.training.float_phase import float_phase
from quantdg.core.errors import ConfigError
from quantdg.quantizers.lsq import LSQ
from quantdg.quantizers.spec import QuantSpec

RATE = 0.01
X = torch.randn(16, 6, generator=torch.Generator().manual_seed(3))
Y = torch.arange(16) % 3


class Net(Algorithm):
    """Two LSQ layers at 3 bits; ``push`` adds a gradient of a sign of choice to the scale of the first."""

    def __init__(self, rule: StepRule, optimizer: type[torch.optim.Optimizer] = torch.optim.SGD) -> None:
        torch.manual_seed(0)
        hidden = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU())
        super().__init__(DGModel(hidden, 5, 3), 1, lambda params: optimizer(params, lr=RATE))  # type: ignore[call-arg]
        quantizer = LSQ(QuantSpec(weight_bits=3, rules=()))
        quantizer.prepare(self.network, X)
        for group in quantizer.param_groups(self.network, RATE):
            self.add_quantizer_group(group)
        self.rule = rule
        self.push = 0.0

    @property
    def scales(self) -> list[Tensor]:
        return [p for g in self.optimizer.param_groups if g.get("quantizer") for p in g["params"]]

    def losses(self, minibatches: Any) -> dict[str, Tensor]:
        loss = nn.functional.cross_entropy(self.predict(X), Y)
        return {"loss": loss + self.push * self.scales[0].sum()}


def run(rule: StepRule, pushes: str) -> Net:
    net = Net(rule)
    for sign in pushes:
        net.push = 1e3 if sign == "+" else -1e3
        net.update([])
    return net


def moved(net: Net, steps: int = 1) -> dict[str, bool]:
    """Which parameters a step moves."""
    before = {n: p.detach().clone() for n, p in net.network.named_parameters()}
    for _ in range(steps):
        net.update([])
    return {n: not torch.equal(p, before[n]) for n, p in net.network.named_parameters()}


def test_the_disorder_of_signs_by_hand() -> None:
    signs = torch.tensor([[1, -1, -1, 1, 1], [1, 1, 1, 1, 1], [1, -1, 1, -1, 1]])
    assert disorder(signs).tolist() == [0.5, 0, 1]


def test_the_signs_of_the_first_pass_are_what_is_recorded() -> None:
    net = run(GAQAT(window=5), "+--++")
    rule = net.rule
    assert isinstance(rule, GAQAT)
    assert rule.signs[0].tolist() == [1, -1, -1, 1, 1]
    assert float(disorder(rule.signs)[0]) == 0.5
    assert rule.counts.tolist() == [5, 5]


def same(a: Net, b: Net) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_with_tau_0_it_is_sagm_bit_for_bit() -> None:
    pushes = "+--++-+++"
    assert same(run(GAQAT(window=2, every=1, tau=0), pushes), run(SAGM(), pushes))
    assert not same(run(GAQAT(window=2, every=1, tau=0.5), pushes), run(SAGM(), pushes))


@pytest.mark.parametrize(("side", "share"), [("task", 0.0), ("smooth", 1.0), ("both", None)])
def test_a_frozen_scale_keeps_one_half_or_has_no_gradient(side: Any, share: float | None) -> None:
    net = run(GAQAT(window=2, tau=1.1, side=side), "+-")
    rule = net.rule
    assert isinstance(rule, GAQAT)
    assert rule.frozen.all()
    passes: list[Tensor] = []
    net.scales[0].register_post_accumulate_grad_hook(lambda p: passes.append(p.grad.clone()))  # type: ignore[union-attr]
    net.update([])
    if share is None:
        assert net.scales[0].grad is None
    else:
        wanted = 0.5 * passes[0 if share else 1]
        assert torch.equal(net.scales[0].grad, wanted)  # type: ignore[arg-type]
    assert net.network.classifier.bias.grad is not None


def test_adams_moments_leave_a_scale_without_gradient_where_it_is() -> None:
    net = Net(GAQAT(window=2, every=2, tau=1.1, side="both"), torch.optim.Adam)
    net.push = 1.0
    assert all(moved(net, 2).values())
    still = {name for name, did in moved(net).items() if not did}
    assert still == {"featurizer.1.weight_quant.step_size", "classifier.weight_quant.step_size"}


def test_the_weight_of_a_frozen_layer_stays_too_its_bias_does_not() -> None:
    net = run(GAQAT(window=2, tau=1.1, side="both", scope="layer"), "+-")
    still = {name for name, did in moved(net).items() if not did}
    parts = ("weight", "weight_quant.step_size")
    assert still == {f"{layer}.{part}" for layer in ("featurizer.1", "classifier") for part in parts}


def test_scales_are_released_at_the_border_of_a_window_only() -> None:
    net, rule = Net(GAQAT(window=4, tau=0.5)), None
    states = []
    for sign in "+++++-+-+-++":
        net.push = 1e3 if sign == "+" else -1e3
        net.update([])
        rule = net.rule
        assert isinstance(rule, GAQAT)
        states.append(bool(rule.frozen[0]))
    assert states == [False] * 3 + [True] * 4 + [False] * 5
    assert isinstance(rule, GAQAT)
    assert int(rule.held[0]) == 4


def test_the_blind_control_alternates() -> None:
    net = Net(GAQAT(window=9, every=2, choose="alternate"))
    states = []
    for _ in range(8):
        net.update([])
        states.append(net.rule.frozen.tolist())  # type: ignore[union-attr]
    assert states == [[x, x] for x in (False, True, True, False, False, True, True, False)]


def test_counters_survive_a_checkpoint_in_the_middle_of_a_window() -> None:
    net = run(GAQAT(window=4, tau=0.5), "++++-")
    again = Net(GAQAT(window=4, tau=0.5))
    restore(again, capture(net))
    for sign in "-+-+":
        for other in (net, again):
            other.push = 1e3 if sign == "+" else -1e3
            other.update([])
    assert torch.equal(net.rule.signs, again.rule.signs)  # type: ignore[union-attr]
    assert same(net, again)


def test_a_step_of_other_players_is_not_counted() -> None:
    net = run(GAQAT(window=2), "+")
    net.step(lambda: net.losses([]), [net.network.classifier.bias])
    assert net.rule.steps == 1  # type: ignore[union-attr]
    assert net.rule.counts.tolist() == [1, 1]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["gaqat", "fqat"])
def test_a_resumed_cell_goes_on_with_the_same_bits(cell: Any, tmp_path: Any, name: str) -> None:
    words = ("quantizer=[lsq]", f"step_rule={name}", "step_rule.window=2", "step_rule.tau=0.9", "averaging=[]")
    chosen, data = cell(*words)
    state = float_phase(chosen.group, data, tmp_path / "float.safetensors", lambda _: None)
    whole = train_branch(chosen, data, state, lambda _: None)
    path, steps = tmp_path / "snapshot.safetensors", iter(range(100))
    with pytest.raises(StoppedError):
        train_branch(chosen, data, state, lambda _: None, Checkpointer(path, stop=lambda: next(steps) > 2))
    resumed = train_branch(chosen, data, state, lambda _: None, Checkpointer(path))
    a, b = capture(whole.algorithm), capture(resumed.algorithm)
    assert a.keys() == b.keys()
    assert {"rule.signs", "rule.counts", "rule.frozen", "rule.held", "rule.steps"} <= a.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_the_record_says_what_was_frozen_and_float_is_plain_sagm(quick: Any) -> None:
    experiment = quick("quantizer=[float,lsq]", "step_rule=gaqat", "step_rule.window=3", "step_rule.tau=1.1")
    run_experiment(experiment)
    plans = {r.labels.quantizer: r.plan["step_rule"] for r in RunStore(experiment.paths.out).records()}
    assert plans["float"] == {"frozen": 0.0, "disorder": None, "parameters": 0}
    assert plans["lsq"]["frozen"] == round(4 / 7, 4)  # 7 steps, frozen from the fourth on
    assert 0 <= plans["lsq"]["disorder"] <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 1}, "window of at least 2, every of at least 1 or null and tau of at least 0, got 1, None and 0.3"),
        ({"scope": "net"}, "step_rule.scope must be one of scale, layer, got 'net'"),
        ({"side": "left"}, "step_rule.side must be one of task, smooth, both, got 'left'"),
        ({"choose": "coin"}, "step_rule.choose must be one of disorder, alternate, got 'coin'"),
    ],
)
def test_wrong_settings_are_answered_with_what_to_write(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GAQAT(**options)
