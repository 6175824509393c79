"""The end of a branch whose quantizer acts after training: the chosen checkpoints are quantized and scored again."""

from __future__ import annotations

from ...quantizers.base import Audit, Quantizer
from ...quantizers.noise_matching import note_noise
from ..algorithms.base import Algorithm
from ..results.record import LAST
from .data import CellData
from .selection import Checkpoint, Selection, score_checkpoint


def quantize_chosen(
    algorithm: Algorithm, quantizer: Quantizer, data: CellData, selection: Selection, noise: dict[str, list[float]]
) -> Audit:
    """Replace each chosen float checkpoint by its quantized self, scored anew; the choice stays that of the float network.

    Args:
        algorithm: it carries the last checkpoint, quantized, afterwards.
        quantizer: a post-training one, prepared on its network.
        data: whose source-train images calibrate.
        selection: of the float training.
        noise: histories of the sites; the last value becomes that of the last checkpoint.
    """
    chosen = {checkpoint.step: checkpoint for checkpoint in selection.chosen.values()}
    done: dict[int, Checkpoint] = {}
    for step, checkpoint in sorted(chosen.items()):
        algorithm.network.load_state_dict(checkpoint.state)
        quantizer.calibrate(algorithm.network, data.calibration())
        done[step] = score_checkpoint(algorithm, data, step)
    selection.chosen = {rule: done[checkpoint.step] for rule, checkpoint in selection.chosen.items()}
    assert max(done) == selection.chosen[LAST].step
    for values in noise.values():
        values.pop()
    note_noise(noise, quantizer, algorithm.network)
    return quantizer.audit(algorithm.network)
