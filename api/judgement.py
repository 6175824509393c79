"""The verdict on a run folder: its answer, in one word, in a frame and in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from quantdg.reports.verdict.judge import Verdict

DIFFERENT = "depends"


@dataclass(frozen=True, repr=False)
class Judgement:
    """The answer to "does quantization-aware training help, under every quantizer?".

    Attributes:
        found: every claim with its effect, interval and p-value.
        text: all of it in words and tables, Markdown.
    """

    found: Verdict
    text: str

    @cached_property
    def answers(self) -> pd.DataFrame:
        """One row per scope (further domains of several data sets, further data sets, or one data set) and algorithm.

        Columns: scope, unit (``domain`` or ``data set``), algorithm, answer (``yes``, ``not shown``, ``not decidable`` or ``incomplete``), p (of the
        conjunction, the largest of all quantizers), at_least (how many quantizers gain, lower bound), quantizers
        (how many are judged).
        """
        rows = [
            (
                scope.name,
                scope.units.word,
                judged.algorithm,
                together.answer,
                together.p_every,
                together.at_least,
                len(together.names),
            )
            for scope in self.found.scopes
            for judged in scope.algorithms
            for together in (judged.conjunction,)
        ]
        return pd.DataFrame(rows, columns=["scope", "unit", "algorithm", "answer", "p", "at_least", "quantizers"])

    @property
    def answer(self) -> str:
        """The one answer of all scopes and algorithms; ``depends`` where they differ, ``incomplete`` without any."""
        answers = self.answers["answer"].unique()
        if len(answers) > 1:
            return DIFFERENT
        return str(answers[0]) if len(answers) else "incomplete"

    def __repr__(self) -> str:
        """The answer and how many it sums up."""
        return f"<Judgement {self.answer!r} of {len(self.answers)} scopes and algorithms>"

    def __str__(self) -> str:
        """The text."""
        return self.text

    def _repr_markdown_(self) -> str:
        """For notebooks."""
        return self.text
