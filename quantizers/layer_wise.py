r"""Layer by layer: post-training methods that choose codes from the second moments of a layer's inputs.

    H = (2 / n) sum x x^T over all n input columns x;   error of a row:  d^T H d,  d = w_q - w

which is twice the mean squared change of the row's output. One H a group of a grouped convolution. A layer sees the
inputs that the network gives it with the layers before it quantized, as GPTQ does; inputs are rounded where the spec
asks for it. Everything is in float64, so neither the order of batches nor a reduced matmul precision shows.

Reference: Nagel et al., "Up or Down?", ICML 2020 (equation 9 to 13: the layer's quadratic error); Frantar and Alistarh,
"Optimal Brain Compression", NeurIPS 2022.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..core.errors import QuantizerError
from .insertion import Site, sites_of
from .names import WEIGHT
from .post_training import PostTraining, PostTrainingQuant, Rounded, Rows

IMAGES = 16
"""Images whose input columns are in memory at once."""


@contextmanager
def _calls(modules: Sequence[nn.Module]) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """Collect each call of these modules with its first argument, as it is before the layer rounds it."""
    seen: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, args: Any, kwargs: Any) -> None:
        seen.append((module, args[0] if args else next(iter(kwargs.values()))))

    handles = [m.register_forward_pre_hook(note, with_kwargs=True) for m in modules]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def columns(layer: Any, x: Tensor) -> Tensor:
    """Return the inputs that one output value is a product with: (groups, columns of the weight, products).

    Args:
        layer: a linear layer or a convolution of any kind, quantized or not.
        x: its input.
    """
    x, weight = x.detach().double(), layer._parameters[WEIGHT]
    size = weight[0].numel()
    if isinstance(layer, nn.Linear):
        return x.reshape(1, -1, size).mT
    x = x if x.dim() == weight.dim() else x[None]
    picks = torch.eye(size, dtype=x.dtype, device=x.device).reshape(size, *weight.shape[1:])
    found: Tensor = layer._conv_forward(
        x, picks.repeat(layer.groups, *[1] * (x.dim() - 1)), None
    )  # its own padding and stride
    return found.reshape(len(x), layer.groups, size, -1).permute(1, 2, 0, 3).flatten(2)


def hessian_of(model: nn.Module, layers: Sequence[Any], batches: Sequence[Tensor]) -> Tensor:
    """Compute H, shape (groups, columns, columns) in float64, of layers that share a weight.

    Raises:
        QuantizerError: no forward calls the layers.
    """
    total: Tensor | None = None
    count = 0
    for batch in batches:
        with _calls(layers) as seen:
            model(batch)
        for layer, x in seen:
            act_quant = cast(Any, layer).act_quant
            for part in (x if act_quant is None else act_quant(x)).split(IMAGES):
                found = columns(layer, part)
                product, count = found @ found.mT, count + found.shape[2]
                total = product if total is None else total + product
    if total is None:
        raise QuantizerError("a layer must be called in calibration to see its inputs; leave it in float by skip: true")
    return total * (2 / count)


def layer_error(rows: Rows, codes: Tensor, hessian: Tensor) -> float:
    """Compute the sum of d^T H d over the rows."""
    d = rows.value(codes) - rows.weight
    return float((d @ hessian * d).sum())


def damped(hessian: Tensor, damping: float) -> Tensor:
    """Add ``damping`` times the mean of the diagonal to it; inputs that are always 0 get 1, so that nothing is divided by 0.

    Their weights thereby round to the nearest. The released code of GPTQ sets them to 0 instead, which changes the layer
    for inputs that calibration did not hold.
    """
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    added = damping * diagonal.mean(1, keepdim=True) + (diagonal == 0)
    return hessian + torch.diag_embed(added)


def inverse(hessian: Tensor) -> Tensor:
    """Invert a damped H; QuantizerError where it is singular."""
    factor, failed = torch.linalg.cholesky_ex(hessian)
    if failed.any():
        raise QuantizerError("the inputs of a layer must span its columns or be damped; write for example damping=0.01")
    return torch.cholesky_inverse(factor)


class LayerWise(PostTraining):
    """The common part of methods that choose a layer's codes from H."""

    @abstractmethod
    def round_rows(self, rows: Rows, hessian: Tensor) -> Rounded:
        """Choose the codes of a layer's rows, given H of shape (groups, columns, columns)."""

    def round_weights(self, model: nn.Module, batches: Sequence[Tensor]) -> None:
        """Go through the layers in the order in which a forward calls them."""
        for quant, sites in in_order(model, batches[0]).items():
            layers = [site.module for site in sites]
            for layer in layers:
                if layer.act_quant is not None:
                    layer.act_quant.quantized.fill_(True)
            hessian = hessian_of(model, layers, batches)
            rows = quant.rows(sites[0].latent, len(hessian))
            codes, undecided = self.round_rows(rows, hessian)
            best, nearest = (layer_error(rows, c, hessian) for c in (codes, rows.nearest()))
            quant.take(codes, error_ratio=best / nearest if nearest > 0 else 1.0, undecided=undecided)


def in_order(model: nn.Module, batch: Tensor) -> dict[PostTrainingQuant, list[Site]]:
    """Return the sites by their weight's fake quantizer, in the order of first calls; those not called come last."""
    sites = [site for _, site in sites_of(model)]
    with _calls([site.module for site in sites]) as seen:
        model(batch)
    called = list(dict.fromkeys(module for module, _ in seen))
    place = {id(module): number for number, module in enumerate(called)}
    sites.sort(key=lambda site: place.get(id(site.module), len(place)))
    found: dict[PostTrainingQuant, list[Site]] = {}
    for site in sites:
        found.setdefault(site.weight_quant, []).append(site)
    return found
