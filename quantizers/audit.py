"""The audit: evidence, site by site, that a quantizer did its work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field

from torch import Tensor


def noise_to_signal(noise: Tensor, weight: Tensor) -> float:
    """Compute std(noise) / std(weight); a single number has no spread, so both are 0."""
    if weight.numel() == 1:
        return 0.0
    return float(noise.std() / weight.std().clamp_min(1e-12))


@dataclass(frozen=True)
class SiteAudit:
    """A site's audit is the evidence from one layer that its quantizer worked.

    Attributes:
        levels_used: distinct weight codes in use, 1 to 2**bits; 0 for a layer that is frozen or perturbed, not quantized.
        noise_to_signal: std(w_q - w) / std(w) of the latent weight w, >= 0.
        saturation: share of the weights on the outermost code, 0 to 1.
        weight_moved: ||w - w_0|| / ||w_0|| since prepare.
        scale_moved: largest |s - s_0| / |s_0| over the layer's learned quantizer parameters (scales, clips, zero
            points), or None where nothing is learned; |s| for those that start at 0, as zero points do.
        scale_gradient: largest |gradient| on them after the last optimizer step, or None.
        dead: share of the weights that lie inside the grid and get no gradient, 0 to 1, where the class says by
            `Quantizer.dead_weights` that there are some, else None.
        unfit: share of the layer's grids for which the method's own rule fails (SAWB's clip at 7 and 8 bits), 0 to 1, or None.
        grid_distance: mean |v - round(v)| of v = w / s + z, how far latent weights are from the nearest value of the
            uniform grid continued beyond its ends, 0 to 1/2 scales: 1/4 where they lie anywhere, near 0 where they sit
            on values, near 1/2 where they sit on decision edges. None on a non-uniform grid.
        oscillation: share of the weights whose code turns back in a step, over the last steps of a training, 0 to 1;
            see `quantdg.bench.training.oscillation_watch`. None where no training was watched.
        error_ratio: change of the layer's outputs (d^T H d, see `quantdg.quantizers.layer_wise`), or of its block's, over
            that by the nearest codes; for data-free methods mean |change| of the logits of generated images; 1 for the nearest ones themselves; None unless the method is a post-training one.
        undecided: share of the weights for which the search for codes ended between two of them, 0 to 1; None as above.
        own: numbers that the method alone has, by name; see `quantdg.quantizers.fake_quant.FakeQuant.own`.
    """

    levels_used: int
    noise_to_signal: float
    saturation: float
    weight_moved: float
    _: KW_ONLY
    scale_moved: float | None = None
    scale_gradient: float | None = None
    dead: float | None = None
    unfit: float | None = None
    grid_distance: float | None = None
    oscillation: float | None = None
    error_ratio: float | None = None
    undecided: float | None = None
    own: Mapping[str, float] = field(default_factory=dict)

    def flat(self) -> dict[str, float | int | None]:
        """Return all numbers by name, as records have them: those of the method alone as ``own.NAME``."""
        common: dict[str, float | int | None] = {name: v for name, v in asdict(self).items() if name != "own"}
        return {**common, **{f"own.{name}": value for name, value in self.own.items()}}


@dataclass(frozen=True)
class OutputAudit:
    """An output's audit is the evidence that its quantizer was trained, where something of it is learned.

    Attributes:
        scale_moved: as in `SiteAudit`, of the parameters that the output's quantizer learns, or None.
        scale_gradient: as in `SiteAudit`, of the same, or None.
    """

    scale_moved: float | None = None
    scale_gradient: float | None = None


@dataclass(frozen=True)
class Audit:
    """An audit is the evidence for every site that a quantizer worked.

    Attributes:
        quantizer: the name of the quantizer's class.
        sites: the evidence by the layer's dotted name.
        outputs: the evidence by module, of the outputs that are quantized.
    """

    quantizer: str
    sites: Mapping[str, SiteAudit]
    outputs: Mapping[str, OutputAudit] = field(default_factory=dict)
