"""Accuracy and loss of a network, in eval mode and without gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ...quantizers.class_swap import quantized_once
from ..algorithms.base import Algorithm
from .data import CellData
from .sharded import divided


@dataclass(frozen=True)
class Score:
    """A score holds the predicted and the true class of each example, in the order asked for, and the mean cross-entropy."""

    predicted: NDArray[np.int64]
    labels: NDArray[np.int64]
    loss: float

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each example is predicted right."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right

    @property
    def accuracy(self) -> float:
        """The share of correct examples, 0 to 1."""
        return float(self.correct.mean())


@torch.no_grad()
def evaluate(algorithm: Algorithm, data: CellData, domain: int, index: NDArray[np.int64]) -> Score:
    """Score the algorithm's predictions on examples of one domain; leaves it in eval mode. A GPU is waited for once."""
    algorithm.eval()
    answers, losses = [], []
    with quantized_once(algorithm), divided(algorithm.network.featurizer, data.ranks):
        for x, y in data.evaluation(domain, index):
            logits = algorithm.predict(x)
            losses.append(F.cross_entropy(logits, y, reduction="sum"))
            answers.append(torch.stack([logits.argmax(1), y]))
    predicted, labels = torch.cat(answers, dim=1).cpu().numpy()
    return Score(predicted, labels, sum(torch.stack(losses).tolist()) / len(index))


@dataclass(frozen=True)
class SourceScore:
    """Source validation is accuracy of each source domain, and the unweighted means over domains."""

    accuracy: dict[str, float]
    mean_accuracy: float
    mean_loss: float


def evaluate_sources(algorithm: Algorithm, data: CellData) -> SourceScore:
    """Score source validation of the live model: what checkpoints are selected by."""
    scores = {i: evaluate(algorithm, data, i, data.validation[i]) for i in data.sources}
    names = {data.dataset.domains[i].name: s.accuracy for i, s in scores.items()}
    losses = [s.loss for s in scores.values()]
    return SourceScore(names, sum(names.values()) / len(names), sum(losses) / len(losses))
