"""No site without proof that it acts: which fake quantizers a forward really runs, and whether its output depends on them.

A weight may be read without calling its layer, read by a fused operator, or not read at all; then what stands in the
plan is not what is computed. `keep_acting` sorts sites by what ran at insertion. `idle_sites` is the proof of the
harness: it knows nothing of how a quantizer was inserted.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .base import Skipped
from .export import SiteExport
from .fake_quant import FakeQuant, fake_quants
from .insertion import Site, latent_parameter, output_quants, sites_of
from .spec import SiteSpec

NOT_READ = "no evaluation forward reads this weight"
NOT_CALLED = "the layer's weight is read without calling the layer, so its input stays float"
OWN_WEIGHT = "nn.MultiheadAttention multiplies by this weight itself, so its input stays float"

_torch: Any = torch
PRODUCTS = {
    *(F.linear, F.bilinear, F.conv1d, F.conv2d, F.conv3d, F.multi_head_attention_forward, torch.einsum),
    *(torch.matmul, torch.mm, torch.bmm, torch.addmm, torch.baddbmm, Tensor.matmul, Tensor.__matmul__, Tensor.mm),
    *(_torch._transformer_encoder_layer_fwd, _torch._native_multi_head_attention),
}
"""Functions that multiply by a weight; a latent weight has no business among their arguments."""
DRAWS = 16
"""So many further training forwards look for a site that a forward leaves out by chance."""


@contextmanager
def watched(model: nn.Module) -> Iterator[set[FakeQuant]]:
    """Collect the fake quantizers that run within the context."""
    ran: set[FakeQuant] = set()
    handles = [
        q.register_forward_hook(lambda q, inputs, output: ran.add(cast("FakeQuant", q))) for q in fake_quants(model)
    ]
    try:
        yield ran
    finally:
        for handle in handles:
            handle.remove()


def keep_acting(
    inserted: Iterable[tuple[SiteSpec, Site]], ran: Collection[FakeQuant], readers: Collection[str] = ()
) -> tuple[list[SiteSpec], list[Skipped], list[Skipped]]:
    """Take the fake quantizers out that did not run; returns the sites left, those taken out, and inputs left float.

    The ``readers`` of quantized outputs have no fake quantizer for their input, and need none.
    """
    sites, idle, float_inputs = [], [], []
    for spec, site in inserted:
        if site.weight_quant not in ran:
            site.release()
            idle.append(Skipped(spec.name, NOT_READ))
            continue
        if spec.act_bits is not None and site.act_quant not in ran and spec.name not in readers:
            float_inputs.append(Skipped(spec.name, OWN_WEIGHT if site.act_quant is None else NOT_CALLED))
            site.release_input()
            sites.append(replace(spec, act_bits=None))
        else:
            sites.append(spec)
    return sites, idle, float_inputs


def idle_sites(model: nn.Module, exported: Mapping[str, SiteExport], images: Tensor) -> dict[str, str]:
    """Return the sites and quantized outputs that do not act, each with the reason; empty where all do.

    In evaluation each dequantized weight has to be an argument of some operator. In training and in evaluation no
    latent weight may be multiplied with, and the output has to depend on every `FakeQuant` of a site and of an output: by
    its gradient or, in a part that has none, by a change where that of the `FakeQuant` is changed.

    Args:
        model: prepared and calibrated; it is copied, so nothing of it changes, nor does a global generator move.
        exported: from `Quantizer.export`.
        images: a few inputs (N, C, H, W).
    """
    devices = [images.device] if images.device.type == "cuda" else []
    found: dict[str, str] = {}
    with torch.random.fork_rng(devices=devices):
        for training in (True, False):
            twin = copy.deepcopy(model).train(training)
            latent = {name: latent_parameter(twin, site.key(name)) for name, site in exported.items()}
            mode = "training" if training else "evaluation"
            with _Operands(latent, {} if training else exported) as operands:
                unused = _unused(twin, images)
            reasons = {name: f"in {mode} the output does not depend on {what}" for name, what in unused.items()}
            reasons |= dict.fromkeys(operands.floats, f"{mode} multiplies by its float weight")
            if not training:
                missing = sorted(exported.keys() - operands.seen - reasons.keys())
                reasons |= dict.fromkeys(missing, "no operator gets the weight that is exported")
            found = {**reasons, **found}
    return found


def _unused(model: nn.Module, images: Tensor) -> dict[str, str]:
    """Return the modules with a fake quantizer that the output does not depend on, and which."""
    parts = _parts(model)
    acting = _reached(model, images)
    for _ in range(DRAWS):
        if not model.training or all(quant in acting for _, quant, _ in parts):
            break
        acting |= _reached(model, images)
    left = dict.fromkeys(quant for _, quant, _ in parts if quant not in acting)
    acting |= {quant for quant in left if _moves(model, images, quant)}
    return {name: what for name, quant, what in reversed(parts) if quant not in acting}


def _parts(model: nn.Module) -> list[tuple[str, FakeQuant, str]]:
    """The fake quantizers of sites and outputs, each with the name of its module and what it rounds; a weight's come first."""
    sites = dict(sites_of(model))
    weights = [(name, site.weight_quant, "its quantized weight") for name, site in sites.items()]
    inputs = [(n, site.act_quant, "its quantized input") for n, site in sites.items() if site.act_quant is not None]
    outputs = [(name, quant, "its quantized output") for name, quant in output_quants(model).items()]
    return [*weights, *inputs, *outputs]


def _reached(model: nn.Module, images: Tensor) -> set[FakeQuant]:
    """Run a forward and return the fake quantizers that a gradient of its output reaches."""
    leaves: dict[FakeQuant, list[Tensor]] = {}

    def hook(quant: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        leaf = torch.zeros_like(output, requires_grad=True)
        leaves.setdefault(quant, []).append(leaf)  # type: ignore[arg-type]
        out, before = output + leaf, inputs[0]
        return out if before.grad_fn is None else out + (before - before.detach())  # what comes before stays connected

    handles = [q.register_forward_hook(hook) for q in fake_quants(model)]
    try:
        out: Tensor = model(images)
    finally:
        for handle in handles:
            handle.remove()
    tensors = [leaf for several in leaves.values() for leaf in several]
    gradients = torch.autograd.grad(out.sum(), tensors, allow_unused=True) if tensors and out.requires_grad else ()
    used = {id(leaf) for leaf, gradient in zip(tensors, gradients, strict=False) if gradient is not None}
    return {quant for quant, several in leaves.items() if any(id(leaf) in used for leaf in several)}


@torch.no_grad()
def _moves(model: nn.Module, images: Tensor, quant: FakeQuant) -> bool:
    """Say whether the output changes with that of a fake quantizer, though no gradient gets there, as under no_grad."""
    index = fake_quants(model).index(quant)

    def output(*, moved: bool) -> Tensor:
        twin = copy.deepcopy(model)
        if moved:
            fake_quants(twin)[index].register_forward_hook(lambda module, inputs, out: 1.5 * out + 1)
        torch.manual_seed(0)
        return cast(Tensor, twin(images))

    plain = output(moved=False)
    return torch.equal(plain, output(moved=False)) and not torch.equal(plain, output(moved=True))


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a[0], b[0]) and torch.equal(a, b)


class _Operands(TorchFunctionMode):
    """Notes which latent weights are multiplied with, and which exported weights any operator gets."""

    def __init__(self, latent: Mapping[str, Tensor], exported: Mapping[str, SiteExport]) -> None:
        super().__init__()
        self.latent = {tensor.untyped_storage().data_ptr(): name for name, tensor in latent.items()}
        self.wanted = {name: site.weight.dequantize() for name, site in exported.items()}
        self.floats: set[str] = set()
        self.seen: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor)]
        if func in PRODUCTS:
            pointers = [t.untyped_storage().data_ptr() for t in tensors]
            self.floats |= {self.latent[p] for p in pointers if p in self.latent}
        for name in self.wanted.keys() - self.seen:
            if any(_same(t, self.wanted[name]) for t in tensors):
                self.seen.add(name)
        return func(*args, **kwargs)
