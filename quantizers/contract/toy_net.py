"""A small net, inputs and a training step for the conformance checks; needs nothing but torch.

The net has what broke adapters before: ``featurizer`` and ``classifier`` names, BatchNorm held in eval mode by an
overridden ``train()``, a residual sum, an attribute of its own, and heavy-tailed weights as trained nets have them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 4
BATCH = 32
LR = 1e-3


class ToyNet(nn.Module):
    """The toy maps images (N, 3, 10, 10) to logits (N, 4) by three convolutions, one residual, and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.featurizer = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(24, CLASSES)
        self.n_outputs = 24

    def train(self, mode: bool = True) -> ToyNet:
        """Set training mode but leave BatchNorm in eval mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Return logits; the second convolution is residual."""
        first, second, rest = self.featurizer[:3], self.featurizer[3:6], self.featurizer[6:]
        h = first(x)
        logits: Tensor = self.classifier(rest(h + second(h)))
        return logits


@lru_cache(maxsize=256)
def _images(seed: int, count: int) -> tuple[Tensor, Tensor]:
    labels = torch.arange(count) % CLASSES
    noise = torch.randn(count, 3, 10, 10, generator=torch.Generator().manual_seed(1_000 + seed))
    patterns = torch.randn(CLASSES, 3, 10, 10, generator=torch.Generator().manual_seed(7))
    return 0.8 * patterns[labels] + noise, labels


def images(seed: int, count: int = BATCH) -> tuple[Tensor, Tensor]:
    """Draw inputs (count, 3, 10, 10) around 0 and labels (count,): the class is a coloured pattern in noise."""
    x, labels = _images(seed, count)
    return x.clone(), labels.clone()


@lru_cache
def _float_net(steps: int) -> ToyNet:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        net = ToyNet()
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):  # Laplace: the difference of two exponentials
            tails = torch.empty(2, *module.weight.shape).exponential_(generator=generator)
            module.weight.data.copy_((tails[0] - tails[1]) / module.weight[0].numel() ** 0.5)
        if isinstance(module, nn.BatchNorm2d):
            module.train()
            module.momentum = 0.5
    with torch.no_grad():
        for seed in range(8):
            net(images(seed)[0])
    optimizer = torch.optim.Adam(net.train().parameters(), LR)
    for step in range(steps):
        train_step(net, optimizer, step, None)
    optimizer.zero_grad()
    return net


def float_net(steps: int = 60) -> ToyNet:
    """Return a fresh copy of the toy after ``steps`` steps of float training, in training mode."""
    return copy.deepcopy(_float_net(steps))


def train_step(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    penalty: Tensor | None,
    *,
    brightness: float = 1.0,
    look: Callable[[Tensor], None] = lambda loss: None,
) -> float:
    """Train one step on the batch number ``step``, times ``brightness``; return the loss, ``penalty`` included.

    ``look`` sees the loss before the backward.
    """
    x, labels = images(100 + step)
    optimizer.zero_grad()
    loss = F.cross_entropy(net(brightness * x), labels)
    loss = loss if penalty is None else loss + penalty
    look(loss)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def calibration(count: int = 3) -> list[Tensor]:
    """Return input batches for calibrate."""
    return [images(50 + i)[0] for i in range(count)]


def logits(net: nn.Module, seed: int = 500, count: int = 64) -> Tensor:
    """Compute eval-mode logits (count, 4) on inputs that training does not see; the training flag is put back."""
    training = net.training
    net.eval()
    with torch.no_grad():
        out: Tensor = net(images(seed, count)[0])
    net.train(training)
    return out


def accuracy(net: nn.Module, count: int = 400) -> float:
    """Measure the share of fresh inputs that get their label, 0 to 1."""
    return float((logits(net, 900, count).argmax(1) == images(900, count)[1]).float().mean())
