"""Scales per group of input channels: the weight seen as more, smaller channels, so that a scale per channel is one per group.

    (channels, inputs, ...)  viewed as  (channels * groups, group_size, ...),   groups = inputs / group_size

A method's fake quantizer gets that view with ``granularity="per_channel"`` and knows nothing of groups; `GroupedQuant`
puts it back into shape. A method over another grid sees the weight as it is, and its base the view. In the view a grid is per channel in every sense: its statistics, its learned scale and that
scale's gradient factor are those of the group. The same layout of scales, (channels, groups), is torchao's and
Brevitas's. The groups of a convolution (``nn.Conv2d.groups``) are something else; a group here lies within one of them.

A last, shorter group is refused. torchao refuses it too; Brevitas pads with zeros, which a mean over the group would see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from ..core.errors import QuantizerError
from .fake_quant import FakeQuant, QParams
from .spec import SiteSpec

MakeQuant = Callable[[Tensor, SiteSpec], FakeQuant]
Groups = Literal["split", "whole", "none"]
"""A method's `SiteQuantizer.weight_quantizer` gets the weight with each group as a channel of its own; or the weight as
it is, and sees to the groups itself; or has scales that do not go by channel, so that it is refused."""


def split(weight: Tensor, group_size: int) -> Tensor:
    """Return a weight as (channels * groups, group_size, ...); this is a view where the memory allows it."""
    return weight.reshape(-1, group_size, *weight.shape[2:])


def group_reason(module: nn.Module, site: SiteSpec, groups: Groups) -> str:
    """Say why a weight cannot have scales per group as asked, or return an empty string.

    Args:
        module: that holds it.
        site: as the spec asks.
        groups: of the method.
    """
    if site.group_size is None:
        return ""
    if groups == "none":
        return "its scales do not go by channel, so there are none per group; write granularity=per_channel"
    inputs, size = cast(Tensor, module._parameters[site.parameter]).shape[1], site.group_size
    if size >= inputs or inputs % size == 0:
        return ""
    fitting = [n for n in range(2, inputs // 2 + 1) if inputs % n == 0]
    nearest = min(fitting, key=lambda n: abs(n - size), default=inputs)
    return (
        f"group_size must divide the {inputs} input channels, got {size}; write group_size={nearest}, "
        f"or a rule for this layer, {{pattern: {site.name}, granularity: per_channel}}"
    )


def quantizer_of(make: MakeQuant, weight: Tensor, site: SiteSpec, groups: Groups = "split") -> FakeQuant:
    """Make the fake quantizer of a weight, over its groups where it has more than one for each output channel.

    Args:
        make: a method's `SiteQuantizer.weight_quantizer`.
        weight: latent, (channels, inputs, ...).
        site: as the spec asks; `group_reason` has none against it.
        groups: of the method.
    """
    if site.group_size is None or groups == "whole":
        return make(weight, site)
    channels = replace(site, granularity="per_channel", group_size=None)
    if site.group_size >= weight.shape[1]:
        return make(weight, channels)
    return GroupedQuant(make(split(weight.detach(), site.group_size), channels), site.group_size, weight.shape[0])


class GroupedQuant(FakeQuant):
    """This fake quantizer shows a weight to another one group by group.

    Args:
        inner: a method's, made for the weight as `split` returns it.
        group_size: input channels of a group.
        channels: output channels of the weight.
    """

    def __init__(self, inner: FakeQuant, group_size: int, channels: int) -> None:
        super().__init__()
        self.inner, self.group_size, self.channels = inner, group_size, channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the fake-quantized weight, of x's shape."""
        out: Tensor = self.inner(split(x, self.group_size))
        return out.reshape(x.shape)

    def qparams(self, x: Tensor | None = None) -> QParams:
        """Return the grid with scales of shape (channels, groups).

        Raises:
            QuantizerError: the method has no scale per channel, so none per group.
        """
        q = self.inner.qparams(None if x is None else split(x, self.group_size))
        if q.axis != 0:
            raise QuantizerError(
                f"a method with scales per group has one for each channel of its weight, {type(self.inner).__name__} has "
                f"scales along {q.axis}; write groups = 'none' in the quantizer's class"
            )
        scale, zero = (t.reshape(self.channels, -1) for t in (q.scale, q.zero_point))
        return q._replace(scale=scale, zero_point=zero, group_size=self.group_size)

    def restart(self) -> None:
        """Let the method forget the ranges seen so far."""
        self.inner.restart()

    def unfit(self, x: Tensor) -> float | None:
        """Return what the method says of its groups."""
        return self.inner.unfit(split(x, self.group_size))

    def own(self, x: Tensor) -> dict[str, float]:
        """Return what the method says of its groups."""
        return self.inner.own(split(x, self.group_size))

    def observe(self, x: Tensor) -> None:
        """Let the method take a weight into its ranges, where it has such."""
        cast(Any, self.inner).observe(split(x, self.group_size))

    @torch.no_grad()
    def advance(self, weight: Tensor, step: int) -> None:
        """Let the method move its schedule, and take over what it changed where the split weight is a copy."""
        seen = split(weight, self.group_size)
        self.inner.advance(seen, step)
        if seen.data_ptr() != weight.data_ptr():
            weight.copy_(seen.reshape(weight.shape))
