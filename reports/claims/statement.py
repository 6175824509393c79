"""What a file of claims says: a claim, who makes it, and the contrast of the tables that tests it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

from ..frames.columns import FLOAT
from ..verdict.contrasts import BASELINE

ACCURACY = "accuracy"
TOGETHER = "seeds together"
METHODS = "methods"
"""In place of a quantizer's name: every quantizer of the folder, neither float nor a control."""
Direction = Literal["greater", "less", "equal"]
Joined = Literal["every", "some", "differ"]


@dataclass(frozen=True, kw_only=True)
class RowPick:
    """Picks rows of a table by its columns; an empty column was not said.

    Attributes:
        quantizer: names, or `METHODS`.
        bits: as tables have them: ``W7``, ``W7A8``, ``float``.
        algorithm: names.
        selection: ``iid``, ``last``, ``oracle`` or a weight average; of seeds together ``ensemble`` or ``single``.
        start: when quantization starts, as a share of the steps, for example ``0.4``.
    """

    quantizer: tuple[str, ...] = ()
    bits: tuple[str, ...] = ()
    algorithm: tuple[str, ...] = ()
    selection: tuple[str, ...] = ()
    start: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Say which rows these are, without what goes without saying."""
        algorithm, quantizer, bits, selection, start = (
            " or ".join(values) for values in (self.algorithm, self.quantizer, self.bits, self.selection, self.start)
        )
        named = [algorithm if algorithm != BASELINE else "", quantizer, bits if bits != "float" else ""]
        if quantizer == METHODS:
            named[1:] = ["every quantizer", f"at {bits}" if bits else ""]
        named += [f"({selection})" if selection else "", f"started at {start}" if start else ""]
        return " ".join(word for word in named if word)

    def holds(self, quantizer: str, bits: str) -> bool:
        """Say whether a quantizer proper is one of those picked, whatever algorithm and selection."""
        named = not self.quantizer or METHODS in self.quantizer or quantizer in self.quantizer
        return named and (not self.bits or bits in self.bits)

    def without_start(self, usual: str) -> RowPick:
        """Return the pick with the usual start left empty, as the rows' names leave it."""
        return replace(self, start=tuple("" if start == usual else start for start in self.start))


COLUMNS = tuple(field.name for field in fields(RowPick))


@dataclass(frozen=True, kw_only=True)
class StatedClaim:
    """One claim and its contrast: rows minus what they are compared with.

    Attributes:
        id: a short name, unique in the file.
        source: who says it, and where.
        says: the claim, a sentence.
        rows: what the claim is about; empty where records cannot test it.
        against: changes to a row, each of which gives a row that is subtracted.
        when: a change to both sides: the contrast is then by how much it changes the difference.
        family: the rows whose gains Holm corrects together with this one; None for all quantizers of the algorithm, as in the
            verdict.
        metric: ``accuracy``, a measure of flatness such as ``F(0.01) on source``, or `TOGETHER`: accuracy on the whole target domain,
            ``selection: ensemble`` of all seeds and ``selection: single`` of one.
        alternative: on which side of 0 the claim puts the contrast; ``equal``: within the margin of the run.
        together: of several differences: ``every`` one, ``some`` one, or whether they ``differ``.
        goes_with: ``gap``: the metric's rank correlation with the out-of-domain gap, over the rows; else empty.
        scope: name of the domains that the claim is about.
        run: the command that trains rows which a folder may lack.
        outside: why records cannot test it; else empty.
    """

    id: str
    source: str
    says: str
    rows: tuple[RowPick, ...] = ()
    against: tuple[RowPick, ...] = ()
    when: RowPick | None = None
    family: RowPick | None = None
    metric: str = ACCURACY
    alternative: Direction = "greater"
    together: Joined = "every"
    goes_with: str = ""
    scope: str
    run: str = ""
    outside: str = ""

    @property
    def sign(self) -> int:
        """Return -1 where the claim is about a difference below 0."""
        return -1 if self.alternative == "less" else 1

    @property
    def in_points(self) -> bool:
        """Whether the contrast is of accuracies, in points, and not of flatness."""
        return self.metric in (ACCURACY, TOGETHER)

    @property
    def is_gain(self) -> bool:
        """Whether the contrast is a gain over float, of which the verdict has a family."""
        plain = self.metric == ACCURACY and self.when is None
        return plain and self.against == (RowPick(quantizer=(FLOAT,)),)

    @property
    def contrast(self) -> str:
        """Write the contrast, for example ``lsq W7 - float > 0``."""
        if self.outside:
            return "none"
        sign = {"greater": "> 0", "less": "< 0", "equal": "within the margin"}[self.alternative]
        measured = "" if self.metric == ACCURACY else f"{self.metric}: "
        rows = ", ".join(pick.words for pick in self.rows)
        if self.goes_with:
            return f"{measured}rank correlation with the {self.goes_with} {sign}, over {rows}"
        others = ", ".join(change.words for change in self.against)
        words = f"{rows} - {'each of ' if len(self.against) > 1 else ''}{others}"
        if self.when is not None:
            words = f"({words}) with {self.when.words.strip('()')} - without"
        return f"{measured}{words} {'differ' if self.together == 'differ' else sign}"

    @property
    def picks(self) -> list[RowPick]:
        """Return everything that names rows."""
        return [*self.rows, *self.against, *(pick for pick in (self.when, self.family) if pick)]

    def without_start(self, usual: str) -> StatedClaim:
        """Return the claim with the usual start left empty in all its picks."""
        rows, against = (tuple(pick.without_start(usual) for pick in picks) for picks in (self.rows, self.against))
        return replace(self, rows=rows, against=against, when=self.when and self.when.without_start(usual))


@dataclass(frozen=True, kw_only=True)
class ClaimFile:
    """A file of claims.

    Attributes:
        name: of the file.
        title: of its table.
        digest: of its text, so that whoever registered it can show that it is the same.
        start: the share of the steps at which quantization starts where a claim does not say it; empty for the only one.
        scopes: data sets by the name of the scope; none are all that were run.
        claims: in the file's order.
    """

    name: str
    title: str
    digest: str
    start: str
    scopes: dict[str, tuple[str, ...]]
    claims: tuple[StatedClaim, ...]
