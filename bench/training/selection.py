"""Which checkpoint counts: last, best on source validation, oracle. One training yields all rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ..algorithms.base import Algorithm
from ..results.record import HEADLINE, LAST, ORACLE
from .data import CellData
from .evaluation import SourceScore, evaluate, evaluate_sources

State = dict[str, Tensor]


@dataclass
class Checkpoint:
    """A candidate has its step, source validation, accuracy on the target's 20 % part and weights."""

    step: int
    source: SourceScore
    target_out: float
    state: State

    def curve_point(self, loss: float) -> dict[str, float]:
        """Return what the record's curve says of it, beside the training loss of its step."""
        return {
            "step": self.step,
            "train_loss": loss,
            "source_acc": self.source.mean_accuracy,
            "source_loss": self.source.mean_loss,
            "target_out": self.target_out,
        }


@dataclass
class Selection:
    """It keeps the checkpoints that each rule has chosen so far.

    ``iid`` maximises mean source-validation accuracy, ``oracle`` the accuracy on the target's held-out 20 %,
    ``last`` is the end of training; the first maximum wins. Checkpoints at or before the quantization step
    are never offered (Protocol.is_check).
    """

    chosen: dict[str, Checkpoint] = field(default_factory=dict)

    def consider(self, checkpoint: Checkpoint) -> None:
        """Consider a checkpoint under every rule."""
        best = self.chosen.get(HEADLINE)
        if best is None or checkpoint.source.mean_accuracy > best.source.mean_accuracy:
            self.chosen[HEADLINE] = checkpoint
        best = self.chosen.get(ORACLE)
        if best is None or checkpoint.target_out > best.target_out:
            self.chosen[ORACLE] = checkpoint
        self.chosen[LAST] = checkpoint


def score_checkpoint(algorithm: Algorithm, data: CellData, step: int) -> Checkpoint:
    """Score source validation and the oracle's 20 % of the target; nothing else of the target is looked at."""
    data.ranks.check_equal(algorithm.state_dict().values())
    source = evaluate_sources(algorithm, data)
    oracle = evaluate(algorithm, data, data.target, data.target_out)
    state = {n: t.detach().clone() for n, t in algorithm.network.state_dict().items()}
    return Checkpoint(step, source, oracle.accuracy, state)
