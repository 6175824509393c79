r"""Matched noise: the bits and the scale factor at which a quantizer's weight noise equals a reference.

    noise = mean over sites of std(w_q - w) / std(w)   at insertion, as `Quantizer.audit` measures it

Equal bits are not equal perturbations: at 7 bits the noise runs from .017 (min-max) to .058 (LSQ's start) and more.
The search takes bits first, 2 to 8, at the method's own scale. If none comes within the tolerance, it multiplies the
scale of the coarsest width that is still too fine, upwards, where the noise grows with the scale until every weight
rounds to 0. If every width is too noisy, it first looks for a scale with less noise, smaller or, for a clip that is too
tight, larger, and takes the width whose factor ends nearest to 1. So the noise is that of rounding, not of clipping.
What ``scale_factor`` multiplies:

    LSQ, NNI LSQ (paper start)      the scale that training starts from; gradients move it afterwards
    round_freeze, uniform_noise     the scale, for good
    PACT                            the clip of SAWB, at each forward
    APoT                            the clip that training starts from
    DoReFa                          the largest |tanh w|, at each forward
    torch.ao, with and without learning   the range of the weights: codes stay, values outside are clipped

NNI QAT and NNI LSQ as shipped have no such factor, since NNI sets their scales, nor has INQ, whose levels are powers of
two: they match by bits or not at all.

Reference: control of this benchmark.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace

from torch import Tensor, nn

from ..core.errors import QuantizerError
from .base import Quantizer
from .sites import SiteQuantizer
from .spec import QuantSpec

TOLERANCE = 0.05
LARGEST_FACTOR, HALVINGS = 256.0, 24
MakeScaled = Callable[[QuantSpec, float], Quantizer]
"""A function that makes a quantizer from a spec and a scale factor."""


class UnmatchedError(QuantizerError):
    """This is raised where no setting of a quantizer has the noise asked for."""


@dataclass(frozen=True)
class Match:
    """A match says which setting was chosen.

    Attributes:
        spec: with the bits chosen.
        scale_factor: factor on the scale, 1 where bits alone sufficed.
        noise: mean noise reached.
        target: mean noise asked for.
        tried: (weight bits, scale factor, mean noise) of every setting measured, in order.
    """

    spec: QuantSpec
    scale_factor: float
    noise: float
    target: float
    _: KW_ONLY
    tried: tuple[tuple[int, float, float], ...]


def site_noise(quantizer: Quantizer, model: nn.Module) -> dict[str, float]:
    """Measure std(w_q - w) / std(w) of each site of a prepared model."""
    return {name: site.noise_to_signal for name, site in quantizer.audit(model).sites.items()}


def note_noise(history: dict[str, list[float]], quantizer: Quantizer, model: nn.Module) -> None:
    """Append the present noise of each site to its history."""
    for name, value in site_noise(quantizer, model).items():
        history.setdefault(name, []).append(value)


def inserted_noise(model: nn.Module, quantizer: Quantizer, batches: Sequence[Tensor]) -> float:
    """Measure the mean noise over sites after prepare and calibrate on a copy of the float ``model``.

    Raises:
        UnmatchedError: the quantizer inserts no noise, as float and freeze do.
    """
    trial = copy.deepcopy(model)
    quantizer.prepare(trial, batches[0])
    quantizer.calibrate(trial, batches)
    found = site_noise(quantizer, trial)
    noise = sum(found.values()) / len(found) if found else 0.0
    if not noise > 0:
        raise UnmatchedError(f"{quantizer.name} has no weight noise to match; leave it out of a matched run")
    return noise


@dataclass
class _Search:
    """A search for the noise ``target``: what it measures with, and what it has tried."""

    model: nn.Module
    make: MakeScaled
    spec: QuantSpec
    batches: Sequence[Tensor]
    _: KW_ONLY
    target: float
    tolerance: float
    tried: list[tuple[int, float, float]] = field(default_factory=list)

    def noise(self, bits: int, factor: float) -> float:
        quantizer = self.make(replace(self.spec, weight_bits=bits), factor)
        found = inserted_noise(self.model, quantizer, self.batches)
        self.tried.append((bits, factor, found))
        return found

    def supported(self) -> list[int]:
        """Return the widths the quantizer can do here, coarsest first."""
        specs = {bits: replace(self.spec, weight_bits=bits) for bits in range(2, 9)}
        return [b for b, spec in specs.items() if self.make(spec, 1.0).supports(self.model, spec).ok]

    def close(self, noise: float, finer: int = 1) -> bool:
        return abs(noise / self.target - 1) <= self.tolerance / finer

    def nearest(self) -> tuple[int, float, float]:
        return min(self.tried, key=lambda t: abs(math.log(t[2] / self.target)))


def match_noise(
    model: nn.Module,
    make: MakeScaled,
    spec: QuantSpec,
    batches: Sequence[Tensor],
    *,
    target: float,
    tolerance: float = TOLERANCE,
) -> Match:
    """Choose weight bits, and if need be a scale factor, so that the mean noise at insertion is ``target``.

    Layer rules that set bits of their own keep them.

    Args:
        model: float, not prepared; copied for every trial.
        make: builds the quantizer; called with a factor other than 1 only where its ``fixed_scale_reason`` is empty.
        spec: everything but the weight bits.
        batches: calibration inputs (N, C, H, W); one is enough where no weight grid depends on inputs.
        target: mean noise to reach, above 0 and below 1, where all weights round to 0.
        tolerance: largest relative deviation, above 0.

    Raises:
        QuantizerError: the target is not between 0 and 1.
        UnmatchedError: no width does and the scale cannot be multiplied, or not so far; it says what was nearest.
    """
    if not 0 < target < 1:
        raise QuantizerError(f"the noise to match must lie between 0 and 1, got {target}; write for example 0.058")
    search = _Search(model, make, spec, batches, target=target, tolerance=tolerance)
    by_bits = {bits: search.noise(bits, 1.0) for bits in search.supported()}
    if not by_bits:
        raise UnmatchedError(f"{make(spec, 1.0).name} supports no width from 2 to 8 bits on this model")
    bits, factor, noise = search.nearest()
    if not search.close(noise):
        bits, factor, noise = _scaled(search, by_bits)
    found = Match(replace(spec, weight_bits=bits), factor, noise, target, tried=tuple(search.tried))
    if search.close(noise):
        return found
    raise UnmatchedError(_nearest(make(spec, 1.0), found))


def _scaled(search: _Search, by_bits: dict[int, float]) -> tuple[int, float, float]:
    """Return the setting found by multiplying the scale, the factor nearest to 1 if several widths reach the target."""
    quantizer = search.make(search.spec, 1.0)
    if not isinstance(quantizer, SiteQuantizer) or quantizer.fixed_scale_reason:
        return search.nearest()
    finer = [bits for bits, noise in by_bits.items() if noise < search.target]
    reached = []
    for bits in [min(finer)] if finer else by_bits:
        low = _descend(search, bits, by_bits[bits])
        if low is not None:
            _ascend(search, bits, low)
            if search.close(search.tried[-1][2]):
                reached.append(search.tried[-1])
    return min(reached, key=lambda t: abs(math.log(t[1])), default=search.nearest())


def _ascend(search: _Search, bits: int, low: float) -> None:
    """Go up from a factor with too little noise until there is too much, then the root between the two."""
    high = low
    while high < LARGEST_FACTOR:
        low, high = high, 2 * high
        if search.noise(bits, high) > search.target:
            _bisect(search, bits, low, high)
            return


def _descend(search: _Search, bits: int, start: float) -> float | None:
    """Find a factor with less noise than the target: 1, below 1 where rounding makes the noise, above where clipping does."""
    if start < search.target:
        return 1.0
    for factor in (2**-0.5, 2**0.5):
        total, noise, before = 1.0, start, math.inf
        while search.target <= noise < before:
            total, before = total * factor, noise
            noise = search.noise(bits, total)
        if noise < search.target:
            return total
    return None


def _bisect(search: _Search, bits: int, low: float, high: float) -> None:
    """Halve the bracket in logarithms until a tenth of the tolerance is reached."""
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        noise = search.noise(bits, middle)
        if search.close(noise, finer=10):
            return
        low, high = (middle, high) if noise < search.target else (low, middle)


def _nearest(quantizer: Quantizer, found: Match) -> str:
    fixed = (
        quantizer.fixed_scale_reason if isinstance(quantizer, SiteQuantizer) else "it is built without fake quantizers"
    )
    reason = (
        f"its scale cannot be multiplied ({fixed})" if fixed else "rounding and clipping together are never that small"
    )
    return (
        f"{quantizer.name} must reach noise {found.target:.4g}, its nearest is {found.noise:.4g} at {found.spec.label}: "
        f"{reason}; leave it out of the matched run or match to {found.noise:.4g}"
    )
