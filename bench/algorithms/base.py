"""The algorithm interface: ``update`` on one batch from each source domain, ``predict`` on images.

An update is composed of exchangeable parts: transforms change the batches, the algorithm is a loss on them, the
step rule turns its gradient into a step, and the quantizer adds its parameters and its penalty.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...core.errors import ConfigError, DivergedError
from ...core.host import on_host
from ...core.ranges import Ranges
from ..experiment.protocol import OptimizerFactory
from ..models.base import DGModel
from ..schedules.base import Constant, Schedule
from ..step_rules.base import Extra, Plain, StepRule, Terms
from ..transforms.base import Minibatches, Transform, class_probabilities

__all__ = [
    "Algorithm",
    "Minibatches",
    "Terms",
    "class_probabilities",
    "concatenate",
    "domain_risks",
    "image_channels",
    "split_domains",
]


class Algorithm(nn.Module, ABC):
    """An algorithm keeps DomainBed's contract: ``update(minibatches)`` gives scalars, ``predict(x)`` logits.

    Most algorithms are a loss: they write `losses` and inherit `update`. All state is parameters of
    ``self.optimizer`` and buffers, so that a checkpoint is complete; random numbers come from torch's global
    generator, which is seeded before each step.

    Class attributes: ``min_domains`` source domains at least; ``double_backward`` says that a gradient of a
    gradient goes through the network, which some quantizers cannot; ``ranges`` of the settings that a search sets, by name.

    Attributes:
        transforms: change the batches before the loss; see `add_transform`.
        rule: how a gradient becomes a step.
        schedule: of the learning rates.
        penalty: the quantizer's, part of what is minimised.
        statistics: mean and deviation per channel by which images in 0..1 were normalised, for losses on pixel values.
        on_loss: shows the quantizer what is minimised, before the backward.
        computing: the context that the harness takes a step in, which sets what the network computes with.

    Args:
        network: the model to train.
        num_domains: number of source domains.
        optimizer: builds the optimizer from the algorithm's parameters.
    """

    min_domains: ClassVar[int] = 1
    double_backward: ClassVar[bool] = False
    ranges: ClassVar[Ranges] = {}

    def __init__(self, network: DGModel, num_domains: int, optimizer: OptimizerFactory) -> None:
        super().__init__()
        self.network = network
        self.num_domains = num_domains
        self.optimizer = optimizer(self.parameters())
        self.transforms: list[Transform] = []
        self.rule: StepRule = Plain()
        self.schedule: Schedule = Constant()
        self.penalty: Callable[[], Tensor | None] = lambda: None
        self.statistics: tuple[Sequence[float], Sequence[float]] = ((0.0,), (1.0,))
        self.on_loss: Callable[[Tensor], None] = lambda loss: None
        self.computing: Callable[[], AbstractContextManager[None]] = nullcontext
        self._noted: Tensor | None = None  # losses since the last look, summed: one that is not finite stays

    @abstractmethod
    def losses(self, minibatches: Minibatches) -> Terms:
        """Return scalars by name; ``loss`` is minimised, the others are logged."""

    def begin_step(self) -> None:
        """Prepare for an update, before any gradient: the place of step counters and annealing."""

    def update(self, minibatches: Minibatches) -> Terms:
        """Take one training step; returns its terms, each a detached scalar that may not have been computed yet on a GPU.

        Raises:
            DivergedError: the loss is not finite; of a loss on a GPU `refuse_divergence` says so later.
        """
        for transform in self.transforms:
            minibatches = transform(minibatches)
        self.begin_step()
        return self.descend(minibatches)

    def descend(self, minibatches: Minibatches) -> Terms:
        """Take one optimizer step on `losses`; an algorithm with several players overrides it."""
        return self.step(lambda: self.losses(minibatches))

    def step(
        self, losses: Callable[[], Terms], parameters: Iterable[nn.Parameter] | None = None, penalised: bool = True
    ) -> Terms:
        """Take one step of the rule on ``losses()["loss"]``; returns the terms of the first pass.

        Args:
            losses: may be called more than once (SAM).
            parameters: those to move; the others get no gradient, and Adam leaves them and their moments alone. None: all.
            penalised: whether the quantizer's penalty is added; once in an update it should be.
        """
        moving = None if parameters is None else [p for p in parameters if p.requires_grad]

        def gradients(extra: Extra | None = None) -> Terms:
            self.optimizer.zero_grad(set_to_none=True)
            terms = losses()
            penalty = self.penalty() if penalised else None
            loss = terms["loss"] if penalty is None else terms["loss"] + penalty
            self._watch(loss)
            if penalised:
                self.on_loss(loss)
            if extra is not None:
                trained = [p for p in self.parameters() if p.requires_grad] if moving is None else moving
                loss = loss + extra(loss, trained)
                self._watch(loss)
            loss.backward(inputs=moving)  # type: ignore[no-untyped-call]
            return terms

        terms = self.rule.step(self, gradients)
        return {name: value.detach() for name, value in terms.items()}

    def _watch(self, loss: Tensor) -> None:
        """Note a loss; refuse it at once where its value can be read without waiting for a GPU."""
        noted = loss.detach().double()
        self._noted = noted if self._noted is None else self._noted + noted
        if on_host(loss):
            self.refuse_divergence()

    def refuse_divergence(self) -> None:
        """Raise DivergedError where a loss since the last call was not a finite number; this waits for a GPU."""
        noted, self._noted = self._noted, None
        if noted is not None and not math.isfinite(total := float(noted)):
            raise DivergedError(f"the training loss is {total}; lower protocol.lr or the quantizer's lr_ratio")

    def add_transform(self, transform: Transform) -> None:
        """Apply ``transform`` to every batch from now on; ConfigError where it does not fit the network."""
        if self.num_domains < transform.min_domains:
            raise ConfigError(
                f"transform {type(transform).__name__} needs {transform.min_domains} source domains, there are "
                f"{self.num_domains}; leave it out"
            )
        transform.attach(self.network)
        self.transforms.append(transform)

    def add_quantizer_group(self, group: dict[str, Any]) -> None:
        """Add a quantizer's parameters to the optimizer, marked so that step rules can tell them from weights."""
        self.optimizer.add_param_group({**group, "quantizer": True})

    def set_rates(self, step: int, steps: int) -> None:
        """Set every learning rate for the step that comes next, 1 to ``steps``; a function of the step alone."""
        factor = self.schedule.factor(step, steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def reset_optimizer(self) -> None:
        """Forget the moments; groups, and with them a quantizer's parameters and rate, stay."""
        self.optimizer.state.clear()

    def predict(self, x: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        out: Tensor = self.network(x)
        return out


def concatenate(minibatches: Minibatches) -> tuple[Tensor, Tensor]:
    """Return all domains' images and labels as one batch, in domain order."""
    return torch.cat([x for x, _ in minibatches]), torch.cat([y for _, y in minibatches])


def image_channels(network: DGModel) -> int:
    """Return the channels of the network's images, by its first convolution; ConfigError where it has none."""
    first = next((m for m in network.featurizer.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        raise ConfigError(
            "this algorithm has a convolutional network of its own for the images, and this model has no convolution to "
            "learn their shape from; choose a convolutional model, for example model=convnet"
        )
    return first.in_channels


def split_domains(rows: Tensor, minibatches: Minibatches) -> list[Tensor]:
    """Cut rows of a concatenated batch, (sum of N_d, ...), into one tensor a domain."""
    return list(torch.split(rows, [len(y) for _, y in minibatches]))


def domain_risks(algorithm: Algorithm, minibatches: Minibatches) -> Tensor:
    """Compute the mean cross-entropy of each source domain, (domains,), from one pass over all images."""
    logits = split_domains(algorithm.predict(concatenate(minibatches)[0]), minibatches)
    return torch.stack([nn.functional.cross_entropy(z, y) for z, (_, y) in zip(logits, minibatches, strict=True)])
