"""A named protocol: all choices of training and evaluation that are the same for every method."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from ...core.errors import ConfigError
from ...core.ranges import Log, Ranges
from ...datasets.policy import get_augmentation
from .type_check import check_types, hints_of

BatchNormPolicy = Literal["frozen", "freeze_at_start"]
Precision = Literal["fp32", "tf32", "bf16"]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
ANY_WEIGHTS = "any"
MOST_PROCESSES = 64
SMALL_IMAGES = 32
"""Pixels: images up to this side have the search ranges that DomainBed has for MNIST's."""


@dataclass(frozen=True)
class Protocol:
    """A protocol is part of every cell's identity and printed with every result.

    Attributes:
        name: as in the configuration.
        steps: of training in all.
        start_step: quantizers are inserted after this step; float runs count it the same way.
        check_every: a checkpoint is evaluated each so many steps after ``start_step``, and at the end.
        batch_size: images of each source domain in a step.
        lr: of the optimizer.
        weight_decay: of the optimizer.
        holdout: share of each domain kept for validation, DomainBed's 0.2.
        bn: ``frozen``: BatchNorm statistics never move, affine parameters train (SWAD, QT-DoG);
            ``freeze_at_start``: statistics train up to ``start_step``, then freeze (training from scratch).
        augmentation: name in quantdg.datasets.augment, applied to source training images.
        augment_validation: whether source validation images are augmented too, as in DomainBed.
        calibration_batches: source-train batches that set a quantizer's ranges.
        eval_batch: images in an evaluation batch.
        weights: that the backbone starts from, and the default of ``model.weights``: torchvision's name or a file;
            ``any``: pre-trained ones that the model names; None: none, training from scratch.
        first_check: the first checkpoint comes so many steps after ``start_step``, 1 to ``check_every``; None:
            ``check_every``. The released codes check after their first step.
        precision: of the network in training steps: ``fp32``; ``tf32``, which rounds the operands of products on a GPU;
            ``bf16``, autocast. All else is float32, evaluation included; see `quantdg.bench.training.precision`.
        compile: whether torch.compile makes code of the network's part of training steps, fake quantizers included. It changes
            bits within float rounding, so it is a part of the protocol where it is true.
        processes: that train one cell together, 1 to 64, on GPUs one on each; see `quantdg.bench.training.sharded`. Bits
            change within float rounding, so it is a part of the protocol where it is not 1.
    """

    name: str
    steps: int
    start_step: int
    check_every: int
    batch_size: int
    lr: float
    weight_decay: float
    holdout: float
    bn: BatchNormPolicy
    augmentation: str
    calibration_batches: int
    eval_batch: int
    augment_validation: bool = False
    weights: str | None = None
    first_check: int | None = None
    precision: Precision = "fp32"
    compile: bool = False
    processes: int = 1

    def __post_init__(self) -> None:
        check_types("protocol", hints_of(Protocol), vars(self))
        if not 0 <= self.start_step < self.steps:
            raise ConfigError(
                f"protocol.start_step must be at least 0 and below protocol.steps, got {self.start_step} of "
                f"{self.steps}; write for example protocol.start_step={2 * self.steps // 5}"
            )
        for key in ("check_every", "batch_size", "calibration_batches", "eval_batch", "processes"):
            if getattr(self, key) < 1:
                raise ConfigError(f"protocol.{key} must be at least 1, got {getattr(self, key)}")
        if self.first_check is not None and not 1 <= self.first_check <= self.check_every:
            raise ConfigError(
                f"protocol.first_check must be null or from 1 to protocol.check_every, {self.check_every}, got {self.first_check}"
            )
        if not 0 < self.holdout < 1:
            raise ConfigError(f"protocol.holdout must lie between 0 and 1, got {self.holdout}; DomainBed uses 0.2")
        if not self.lr > 0:
            raise ConfigError(f"protocol.lr must be above 0, got {self.lr}; write for example protocol.lr=5e-5")
        if not self.weight_decay >= 0:
            raise ConfigError(f"protocol.weight_decay must be at least 0, got {self.weight_decay}; write for example 0")
        if self.processes > MOST_PROCESSES:
            raise ConfigError(
                f"protocol.processes must be at most {MOST_PROCESSES}, got {self.processes}; write protocol.processes=1"
            )
        if self.compile and self.processes > 1:
            raise ConfigError(
                f"protocol.compile=true needs one process, got protocol.processes={self.processes}; write compile=false"
            )
        get_augmentation(self.augmentation)

    @property
    def settings(self) -> dict[str, Any]:
        """Its part of a cell's identity; the weights belong to the model's part."""
        settings = {name: value for name, value in asdict(self).items() if name != "weights"}
        if self.first_check in (None, self.check_every):
            del settings["first_check"]
        if self.precision == "fp32":
            del settings["precision"]
        if not self.compile:
            del settings["compile"]
        if self.processes == 1:
            del settings["processes"]
        return settings

    def check_weights(self, weights: str | None) -> None:
        """Raise ConfigError where the backbone's weights are not what this protocol says."""
        if weights == ANY_WEIGHTS:
            raise ConfigError(
                f"protocol {self.name} starts from pre-trained weights and leaves open which; write model.weights=NAME "
                "with torchvision's name, for example IMAGENET1K_V1, or a safetensors file"
            )
        if weights != self.weights and (weights is None or self.weights != ANY_WEIGHTS):
            fit = "take a model with these weights" if self.weights else "write model.weights=none"
            raise ConfigError(
                f"model.weights must be {self.weights or 'none'} in protocol {self.name}, got {weights or 'none'}; "
                f"{fit}, or write protocol.name={self.name}-changed protocol.weights={weights or 'none'}"
            )

    def is_check(self, step: int) -> bool:
        """Return whether the model is evaluated after this step; never at or before the quantization step."""
        past = step - self.start_step
        first = self.check_every if self.first_check is None else self.first_check
        return past > 0 and ((past - first) % self.check_every == 0 or step == self.steps)


def protocol_ranges(side: int) -> Ranges:
    """Return what a search sets of a protocol, on images of so many pixels a side: DomainBed's ranges.

    Its dropout and its weight decay on small images (none) are left out; for DomainNet it ends batches at 31.
    """
    if side <= SMALL_IMAGES:
        return {"lr": Log(10**-4.5, 10**-2.5), "batch_size": Log(8, 511, whole=True)}
    return {"lr": Log(1e-5, 10**-3.5), "batch_size": Log(8, 45, whole=True), "weight_decay": Log(1e-6, 0.01)}


def without_batchnorm(network: nn.Module, bn: str) -> str:
    """Say that ``bn`` changes nothing where a network has no BatchNorm; empty where it has."""
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        return ""
    return (
        f"this network has no BatchNorm, so protocol.bn={bn} freezes nothing; LayerNorm and GroupNorm keep no statistics, their "
        "weights train"
    )


def train_mode(network: nn.Module, freeze_bn: bool) -> None:
    """Put a network in training mode; with ``freeze_bn`` its BatchNorm statistics stay, its affine part trains."""
    network.train()
    if freeze_bn:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
