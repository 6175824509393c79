"""A prepared toy net to try a quantizer on, and a look at the weights it really computes with."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..base import Plan, Quantizer
from ..edges import slope_of
from ..fake_quant import frozen_ranges
from ..insertion import latent_parameter
from ..spec import QuantSpec
from .toy_net import LR, ToyNet, calibration, float_net, images, logits, train_step

MakeQuantizer = Callable[[QuantSpec], Quantizer]
WEIGHT_ONLY = (QuantSpec(7), QuantSpec(4), QuantSpec(8), QuantSpec(2))
WITH_INPUTS = (QuantSpec(4, 8), QuantSpec(7, 8), QuantSpec(8, 8), QuantSpec(2, 8))


class Skip(NamedTuple):
    """A check that does not apply returns this with the reason."""

    reason: str


def expect(condition: bool, spec: QuantSpec, message: str) -> None:
    """Raise AssertionError with the spec's label in front unless ``condition`` holds."""
    if not condition:
        raise AssertionError(f"{spec.label}: {message}")


@dataclass
class Trial:
    """A trial is a prepared toy with its quantizer and the optimizer that was there before prepare."""

    spec: QuantSpec
    net: ToyNet
    quantizer: Quantizer
    plan: Plan
    _: KW_ONLY
    optimizer: torch.optim.Adam
    done: int = 0

    def train(self, steps: int, brightness: float = 1.0) -> list[float]:
        """Take real training steps as the harness does, on inputs times ``brightness``, and return the losses.

        A post-training quantizer is calibrated after them.
        """
        losses = self.step(steps, brightness)
        if type(self.quantizer).post_training:
            self.quantizer.calibrate(self.net, calibration(1))
        return losses

    def step(self, steps: int, brightness: float = 1.0) -> list[float]:
        """Do what `train` does without calibrating after it."""
        self.net.train()
        losses = []
        for _ in range(steps):
            penalty = self.quantizer.penalty(self.net)
            look = partial(self.quantizer.on_loss, self.net)
            losses.append(train_step(self.net, self.optimizer, self.done, penalty, brightness=brightness, look=look))
            self.done += 1
            self.quantizer.on_step(self.net, self.done)
        return losses

    def logits(self) -> Tensor:
        """Compute eval-mode logits on fresh inputs."""
        return logits(self.net)


def supported(make: MakeQuantizer, wanted: Iterable[QuantSpec], net: ToyNet | None = None) -> list[QuantSpec]:
    """Return the specs that the quantizer supports on the toy.

    Where it supports none of them, the same with one scale for each tensor count, then also those with a zero point.
    """
    net, wanted = net or float_net(), list(wanted)
    coarse = [replace(spec, granularity="per_tensor") for spec in wanted]
    for tried in (wanted, coarse, [replace(spec, symmetric=False) for spec in coarse]):
        found = [spec for spec in tried if make(spec).supports(net, spec).ok]
        if found:
            return found
    return []


def specs(make: MakeQuantizer) -> list[QuantSpec]:
    """Return up to two specs the quantizer supports on the toy: the first weight-only one and the first with inputs."""
    net = float_net()
    return [spec for group in (WEIGHT_ONLY, WITH_INPUTS) for spec in supported(make, group, net)[:1]]


def _float_phase(net: ToyNet, steps: int) -> tuple[ToyNet, torch.optim.Adam]:
    optimizer = torch.optim.Adam(net.parameters(), LR)
    for step in range(steps):
        train_step(net, optimizer, -10 + step, None)
    return net, optimizer


@lru_cache
def _kept_float_phase(steps: int) -> tuple[ToyNet, torch.optim.Adam]:
    return _float_phase(float_net(), steps)


def _float_copy(steps: int) -> tuple[ToyNet, torch.optim.Adam]:
    """Copy the toy and its optimizer after ``steps`` steps, which are the same before every quantizer, with the gradients."""
    kept = _kept_float_phase(steps)
    net, optimizer = copy.deepcopy(kept)
    for new, old in zip(net.parameters(), kept[0].parameters(), strict=True):
        new.grad = None if old.grad is None else old.grad.clone()
    return net, optimizer


def start(make: MakeQuantizer, spec: QuantSpec, net: ToyNet | None = None, float_steps: int = 3) -> Trial:
    """Go to the branch point: float steps with Adam, prepare, calibrate, and the quantizer's optimizer groups."""
    net, optimizer = _float_phase(net, float_steps) if net else _float_copy(float_steps)
    quantizer = make(spec)
    batches = calibration()
    plan = quantizer.prepare(net, batches[0])
    quantizer.calibrate(net, batches)
    for group in quantizer.param_groups(net, LR):
        optimizer.add_param_group(group)
    return Trial(spec, net, quantizer, plan, optimizer=optimizer)


def trials(make: MakeQuantizer) -> Iterator[Trial]:
    """Yield one trial at the branch point for each of `specs`."""
    for spec in specs(make):
        yield start(make, spec)


def same_state(a: dict[str, Tensor], b: dict[str, Tensor]) -> list[str]:
    """Return the names whose tensors differ in value, or that only one of the two has."""
    different = [n for n in a.keys() & b.keys() if a[n].shape != b[n].shape or not torch.equal(a[n], b[n])]
    return sorted([*different, *(a.keys() ^ b.keys())])


def snapshot(net: nn.Module) -> dict[str, Tensor]:
    """Copy the state dict."""
    return {name: t.detach().clone() for name, t in net.state_dict().items()}


class _Spy(TorchFunctionMode):
    """Notes the input and the weight that each convolution or linear function really gets, under the layer that calls it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.weights: dict[str, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}
        self.calling: list[str] = []
        self.handles = []
        for name, module in net.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                self.handles.append(module.register_forward_pre_hook(lambda m, a, name=name: self.calling.append(name)))  # pyright: ignore[reportArgumentType]
                self.handles.append(module.register_forward_hook(lambda m, a, o: self.calling.pop() and None))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (F.conv2d, F.linear) and self.calling:
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            self.weights[self.calling[-1]] = weight.clone()
            self.inputs[self.calling[-1]] = args[0].clone()
        return func(*args, **kwargs)


def _spy_on(net: nn.Module, call: Callable[[], object], *, train: bool = False) -> _Spy:
    """Make ``call``, in training mode with ranges held or in eval mode, and note what the layers of ``net`` compute with."""
    training = net.training
    net.train(train)
    spy = _Spy(net)
    try:
        with spy, torch.set_grad_enabled(train), frozen_ranges(net):
            call()
    finally:
        for handle in spy.handles:
            handle.remove()
        net.train(training)
    return spy


def functional_weights(net: nn.Module) -> dict[str, Tensor]:
    """Return by layer name the weight an eval forward really computes with, however the quantizer inserted itself."""
    return _spy_on(net, lambda: net(images(0)[0])).weights


def functional_input(net: nn.Module, name: str, values: Tensor) -> Tensor:
    """Return what the layer ``name`` really computes with where its input holds ``values`` (n,)."""
    spy, _ = _with_input(net, name, values, train=False)
    return spy.inputs[name].flatten()[: len(values)]


def input_slopes(net: nn.Module, name: str, values: Tensor) -> Tensor:
    """Return the derivative of a training forward's quantized input by the values (n,) that the input holds."""
    spy, filled = _with_input(net, name, values, train=True)
    return slope_of(spy.inputs[name], filled).flatten()[: len(values)]


def weight_slopes(net: nn.Module) -> dict[str, Tensor]:
    """Return by layer name the derivative of the sum of a training forward's weight by each latent weight that trains."""
    weights = _spy_on(net, lambda: net(images(0)[0]), train=True).weights
    latent = {name: latent_parameter(net, f"{name}.weight") for name in weights}
    return {name: slope_of(weights[name], w) for name, w in latent.items() if w.requires_grad}


def _with_input(net: nn.Module, name: str, values: Tensor, *, train: bool) -> tuple[_Spy, Tensor]:
    layer: Any = net.get_submodule(name)
    shape = (layer.in_channels, 8, 8) if isinstance(layer, nn.Conv2d) else (layer.weight.shape[1],)
    size = math.prod(int(n) for n in shape)
    count = -(-len(values) // size)
    filled = values.repeat(-(-count * size // len(values)))[: count * size].reshape(count, *shape).requires_grad_(train)
    return _spy_on(net, lambda: layer(filled), train=train), filled
