"""The table of claims: one line a claim, and the same claims by scope."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ...core.errors import RecordError
from ..frames.results import Results
from ..tables.table import Table, traced
from ..text.numbers import DASH, counted, number_text, p_text
from ..verdict.sentences import rules_sentence, units_and_seeds
from .decide import decide
from .finding import Finding
from .ground import Ground, check_names, grounds
from .statement import ClaimFile, StatedClaim

_TESTS = (
    "Effect: points of target accuracy, for flatness in the loss; of several rows both ends, the interval of the one less like the claim, where at least one is claimed of the one more like it.",
    "Tests and families are the verdict's (docs/statistics.md).",
    (
        "A gain over float: two-sided, Holm over the algorithm's quantizers or the file's family. A change of a gain: two-sided. Several rows: their "
        "conjunction. All else: one-sided."
    ),
    "no: the opposite is shown. not shown: no proof of the opposite. not run: rows are not in the folder. started at: share of the steps.",
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One claim on one scope of one model and protocol.

    Attributes:
        claim: what the file says.
        ground: model and protocol.
        model: the model alone.
        scope: name of the domains.
        found: the answer.
        records: the run folder, where there are several.
    """

    claim: StatedClaim
    ground: str
    model: str
    scope: str
    found: Finding
    records: str = ""

    @property
    def own(self) -> bool:
        """Whether the scope is the one that the claim is about."""
        return self.scope == self.claim.scope

    @property
    def answers(self) -> bool:
        """Whether it is on the claim's own scope, and its rows are there."""
        return self.own and self.found.word != "not run"


def answered(stated: ClaimFile, results: Results) -> list[Line]:
    """Answer each claim on each scope, in the file's order.

    Of several models or protocols the one with the most cells comes first, with every claim; of the others claims whose rows
    are not there are left out.

    Raises:
        UnknownNameError: the file has a name that is neither in the folder nor installed.
        RecordError: the folder has no cells.
    """
    check_names(stated, results)
    found = sorted(grounds(results, stated.start), key=lambda ground: -ground.cells["key"].nunique())
    made = [list(_on(ground, stated, results)) for ground in found]
    if not made:
        raise RecordError("claims are answered from cells, and the folder has none yet; run some with quantdg run")
    there = [{line.claim.id for line in own if line.answers} for own in made]
    return [line for i, own in enumerate(made) for line in own if i == 0 or line.claim.id in there[i]]


def answered_by(stated: ClaimFile, folders: Mapping[str, Results]) -> list[Line]:
    """Answer each claim on each model from the first folder that has its rows, or from the first of all where none has.

    The model of the first folder comes first, with every claim; on the others stand the claims whose rows are there. Rows are
    compared within one folder, never across two: a group of cells that are paired is trained in one place.
    """
    made = {name: answered(stated, results) for name, results in folders.items()}
    if len(made) == 1:
        return next(iter(made.values()))
    there = {name: {(line.model, line.claim.id) for line in lines if line.answers} for name, lines in made.items()}
    models, out = [*dict.fromkeys(line.model for lines in made.values() for line in lines)], []
    for asked in ((model, claim.id) for model in models for claim in stated.claims):
        holding = [name for name, pairs in there.items() if asked in pairs]
        records = holding[0] if holding else next(iter(made))
        out += [replace(line, records=records) for line in made[records] if (line.model, line.claim.id) == asked]
    return out


def _on(ground: Ground, stated: ClaimFile, results: Results) -> Iterator[Line]:
    """Answer each claim on each scope; scopes that come to the same data sets have one answer."""
    for claim in stated.claims:
        known: dict[tuple[str, ...], Finding] = {}
        for scope, datasets in stated.scopes.items():
            named = tuple(sorted(datasets or ground.datasets))
            if named not in known:
                known[named] = decide(claim, ground, datasets, results)
            yield Line(claim=claim, ground=ground.name, model=ground.model, scope=scope, found=known[named])


def claim_tables(stated: ClaimFile, folders: Mapping[str, Results]) -> list[Table]:
    """Make the tables of claims on their own scopes, of their contrasts, and where there are several scopes of claims by scope.

    Args:
        stated: the file.
        folders: run folders by name, as for `answered_by`.
    """
    found = answered_by(stated, folders)
    networks = _networks(found)
    made = [_by_claim(stated, found, folders, networks=networks), _contrasts(stated, found, networks)]
    return [*made, _by_scope(stated, found, networks)] if len(stated.scopes) > 1 else made


def _networks(found: list[Line]) -> dict[str, str]:
    """What the tables call each ground: its model, where that tells them apart; nothing where there is but one."""
    models = {line.ground: line.model for line in found}
    if len(models) == 1:
        return {}
    return models if len({*models.values()}) == len(models) else {ground: ground for ground in models}


def _by_claim(
    stated: ClaimFile, found: list[Line], folders: Mapping[str, Results], *, networks: Mapping[str, str]
) -> Table:
    own = [line for line in found if line.own]
    text = pd.DataFrame([dict(_shown(line, networks)) for line in own]).astype(str)
    rules = " ".join(dict.fromkeys(rules_sentence(results.rules) for results in folders.values()))
    file = f"File {stated.name}, sha256 {stated.digest}…. {rules}"
    return Table(
        name="claims",
        title=stated.title,
        text=text,
        numbers=pd.DataFrame([_numbers(line) for line in found]),
        labels=text.shape[1],
        notes=(*_TESTS, file),
        traces=traced("effect", (line.found.keys for line in own)),
    )


def _shown(line: Line, networks: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    claim, found = line.claim, line.found
    if networks:
        yield "network", networks[line.ground]
    yield "claim", claim.id
    yield "says", claim.says
    yield "answer", found.word
    yield "effect", effect_text(claim, found)
    yield "p", p_text(found.p)
    yield "on", f"{line.scope}{f': {units_and_seeds(found.n_domains, found.n_seeds)}' if found.n_domains else ''}"


def _contrasts(stated: ClaimFile, found: list[Line], networks: Mapping[str, str]) -> Table:
    """Who makes each claim, what tests it, and what it takes where the answer is open."""
    own, rows = [line for line in found if line.own], []
    for line in own:
        row = {"network": networks[line.ground]} if networks else {}
        row |= {"claim": line.claim.id, "who says so": line.claim.source, "contrast": line.claim.contrast}
        row |= {"records": line.records} if line.records else {}
        rows.append(row | {"what it takes": line.found.takes})
    text = pd.DataFrame(rows).astype(str)
    numbers = pd.DataFrame([_numbers(line) for line in own])
    title = f"{stated.title}: contrasts"
    return Table(name="claims-contrasts", title=title, text=text, numbers=numbers, labels=text.shape[1])


def effect_text(claim: StatedClaim, found: Finding, *, named: bool = True) -> str:
    """Write effect and interval; a dash where there is none; of several rows both ends, by name or without."""
    if math.isnan(found.mean):
        return DASH
    form = "+.2f" if claim.in_points or claim.goes_with else "+.3f"
    form = ".2f" if claim.together == "differ" else form
    interval = "" if math.isnan(found.low) else f" ({_signed(found.low, form)} to {_signed(found.high, form)})"
    said = f"{_signed(found.mean, form)}{interval}"
    rows = counted(found.several, "row")
    if claim.together == "differ":
        return f"standard deviation {said} over {rows}" if named else f"sd {said} of {rows}"
    if claim.goes_with:
        return f"r = {said} over {rows}"
    if not found.row:
        return said
    most = _signed(found.most[0], form)
    return f"{found.row} {said} … {found.most[1]} {most}; {rows}" if named else f"{said} … {most} in {rows}"


def _signed(value: float, form: str) -> str:
    """Without a minus before what rounds to nothing."""
    return number_text(round(value, int(form[-2])) + 0.0, form)


def _numbers(line: Line) -> dict[str, Any]:
    claim, found = line.claim, line.found
    return {
        "id": claim.id, "source": claim.source, "says": claim.says, "contrast": claim.contrast, "network": line.ground,
        "scope": line.scope, "primary": line.own, "domains": found.n_domains, "seeds": found.n_seeds,
        "rows": found.several, "row": found.row, "mean": found.mean, "low": found.low, "high": found.high,
        "other_end": found.most[1], "other_mean": found.most[0], "p": found.p, "answer": found.word,
        "takes": found.takes, "records": line.records,
    }  # fmt: skip


def _by_scope(stated: ClaimFile, found: list[Line], networks: Mapping[str, str]) -> Table:
    rows = []
    at = {(line.ground, line.claim.id, line.scope): line for line in found}
    for ground in dict.fromkeys(line.ground for line in found):
        for claim in stated.claims:
            row = {"network": networks[ground]} if networks else {}
            row["claim"] = claim.id
            if claim.outside or (ground, claim.id, claim.scope) not in at:
                continue
            for scope in stated.scopes:
                one = at[ground, claim.id, scope].found
                row[scope] = one.word if math.isnan(one.mean) else f"{one.word}: {effect_text(claim, one, named=False)}"
            rows.append(row)
    text = pd.DataFrame(rows).astype(str)
    note = "Each scope is tested for itself; the scope that a claim is about was fixed in the file."
    return Table(
        name="claims-by-scope",
        title=f"{stated.title}, by scope",
        text=text,
        numbers=pd.DataFrame([_numbers(line) for line in found]),
        labels=text.shape[1],
        notes=(note,),
    )
