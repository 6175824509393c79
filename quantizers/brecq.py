r"""BRECQ: AdaRound's rounding, learned for all layers of a block together by the block's output.

    minimise over all V of the block:   N / 12  E / E_nearest + strength sum (1 - |2 h(V) - 1|^beta)
    E = mean over images and positions of sum over channels (block(x; w_q) - y)^2,   N weights

x comes from the network with the blocks before it quantized, y from the float network. A block is the innermost module with
a forward of its own that holds the layer, but not the whole network: a residual block, an inverted residual; a layer outside
of one, as the first of a ResNet, is alone. Each iteration takes 32 images of a calibration batch, drawn anew.

Of the paper: blocks, reconstruction, rounding. The squared error is unweighted, as in the released runs; the paper derives
weights from squared gradients of a loss, and calibration here has no labels. Ours: E over that of the nearest codes, times
N / 12 (the squared error of that many roundings), so that ``strength`` fits every block; the iterations. The scale of
inputs is calibrated, not learned. h, V, beta and the warm-up: `adaround`. Memory: a block's inputs and outputs of all
calibration images. Cost: ``iterations`` forward and backward passes of each block, so of the network.

Reference: Li et al., "BRECQ: Pushing the Limit of Post-Training Quantization by Block Reconstruction", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.errors import QuantizerError
from .descent import descend
from .fake_quant import fake_quants
from .insertion import Site
from .layer_wise import in_order
from .learned_codes import computing_with
from .learned_rounding import Choice, LearnedRounding
from .post_training import PostTrainingQuant, set_quantized

IMAGES = 32


class Call(NamedTuple):
    """A call of a block with what it should return."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Tensor

    def images(self, index: Tensor) -> Call:
        """Return the call for some of its images."""
        count = len(self.output)

        def part(value: Any) -> Any:
            return value[index] if isinstance(value, Tensor) and value.dim() and len(value) == count else value

        kwargs = {name: part(value) for name, value in self.kwargs.items()}
        return Call(tuple(part(value) for value in self.args), kwargs, part(self.output))


def blocks_of(model: nn.Module, sites: Sequence[Site]) -> dict[str, list[Site]]:
    """Return the sites by the name of their block, in the order of ``sites``; the name of a lone layer is its own."""
    within = {site.name: _owner(model, site) for site in sites}
    holders = {name for name in within.values() if any(other.startswith(f"{name}.") for other in within.values())}
    found: dict[str, list[Site]] = {}
    for site in sites:
        block = within[site.name]
        found.setdefault(site.name if block in holders or not block else block, []).append(site)
    return found


def _owner(model: nn.Module, site: Site) -> str:
    """The innermost module with a forward of its own around a site, empty for the network itself."""
    name = site.name.rpartition(".")[0]
    while name and isinstance(model.get_submodule(name), nn.Sequential | nn.ModuleList | nn.ModuleDict):
        name = name.rpartition(".")[0]
    return name


@contextmanager
def _float(model: nn.Module) -> Iterator[None]:
    """Let the whole network compute in float within the context."""
    states = {quant: bool(quant.quantized) for quant in fake_quants(model) if hasattr(quant, "quantized")}
    set_quantized(model, False)
    try:
        yield
    finally:
        for quant, quantized in states.items():
            quant.quantized.fill_(quantized)  # type: ignore[operator]


def calls_of(model: nn.Module, block: nn.Module, batches: Sequence[Tensor]) -> list[Call]:
    """Collect the calls of a block by the network as it is, with the outputs of the float network.

    Raises:
        QuantizerError: no forward calls the block, or it returns no tensor.
    """
    seen: list[Call] = []

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        seen.append(Call(args, kwargs, output))

    handle = block.register_forward_hook(note, with_kwargs=True)
    try:
        for batch in batches:
            model(batch)
        now, seen = seen, []
        with _float(model):
            for batch in batches:
                model(batch)
    finally:
        handle.remove()
    if not seen or not all(isinstance(call.output, Tensor) for call in seen):
        raise QuantizerError(
            f"a block must be called in calibration and return a tensor, but a {type(block).__name__} is not or does not; "
            "leave its layers in float by skip: true"
        )
    return [Call(call.args, call.kwargs, target.output) for call, target in zip(now, seen, strict=True)]


def output_error(block: nn.Module, calls: Sequence[Call]) -> Tensor:
    """Compute E over calls."""
    return sum((_error(block, call) for call in calls), torch.tensor(0.0)) / len(calls)


def _error(block: nn.Module, call: Call) -> Tensor:
    out: Tensor = block(*call.args, **call.kwargs)
    return (out - call.output).square().sum(1).mean()


class BRECQ(LearnedRounding):
    """BRECQ learns the rounding of a block's layers by the block's output."""

    name = "brecq"
    reference = "Li et al., BRECQ, ICLR 2021"
    meaning = "rounding the finished float network up or down as changes a block's output least"

    def round_weights(self, model: nn.Module, batches: Sequence[Tensor]) -> None:
        """Go through the blocks in the order in which a forward calls them."""
        generator = torch.Generator().manual_seed(self.seed)
        sites = [site for shared in in_order(model, batches[0]).values() for site in shared[:1]]
        for name, inside in blocks_of(model, sites).items():
            calls = calls_of(model, model.get_submodule(name), batches)
            self._round_block(model.get_submodule(name), inside, calls, generator)

    def _round_block(self, block: nn.Module, sites: list[Site], calls: list[Call], generator: torch.Generator) -> None:
        for site in sites:
            for quant in (site.weight_quant, site.act_quant):
                if quant is not None:
                    quant.quantized.fill_(True)
        nearest = float(output_error(block, calls))
        if not nearest > 0:
            return
        choices = {site.weight_quant: Choice(site.weight_quant.rows(site.latent)) for site in sites}
        size = sum(choice.v.numel() for choice in choices.values())
        self._learn(block, choices, calls, scale=size / 12 / nearest, generator=generator)
        for quant, choice in choices.items():
            codes, undecided = choice.made()
            quant.take(codes, undecided=undecided)
        for quant in choices:
            quant.error_ratio.fill_(float(output_error(block, calls)) / nearest)

    @torch.enable_grad()
    def _learn(
        self,
        block: nn.Module,
        choices: dict[PostTrainingQuant, Choice],
        calls: list[Call],
        *,
        scale: float,
        generator: torch.Generator,
    ) -> None:
        optimizer = torch.optim.Adam([choice.v for choice in choices.values()], self.lr)
        for step in range(self.iterations):
            call = calls[int(torch.randint(len(calls), (1,), generator=generator))]
            index = torch.randperm(len(call.output), generator=generator)[:IMAGES].to(call.output.device)
            term, weights = torch.zeros((), device=call.output.device), {}
            for quant, choice in choices.items():
                share = choice.share()
                weights[quant] = choice.weight(share).reshape(quant.codes.shape)
                term = term + choice.term(share, step / self.iterations)
            with computing_with(weights):
                error = _error(block, call.images(index))
            descend(optimizer, scale * error + self.strength * term)
