"""What the page says near its top on whether its answer can be trusted: what failed, and how much stands behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from ..answer.answer import Answer
from ..report import Report
from ..tables.table import Table
from ..text.numbers import counted

_REASONS = 3
_WARNING = "Warning: "


class Check(NamedTuple):
    """One line: whether it is fine, what it says, and the id of the section that says more, or none."""

    fine: bool
    text: str
    link: str = ""


def checks(report: Report, answer: Answer | None) -> list[Check]:
    """List what one must know before believing the answer; empty without a cell."""
    if answer is None:
        return []
    tables = {table.name: table for table in report.measured}
    found = [*_cells(report, tables.get("failures")), *_problems(tables.get("problems"))]
    found += [*_design(answer, report), *_rules(report), *_quantizers(report)]
    return sorted(found, key=lambda check: check.fine)


def _cells(report: Report, failures: Table | None) -> Iterator[Check]:
    there = report.results.cells["key"].nunique()
    if failures is None:
        yield Check(True, f"{counted(there, 'cell')}, each with a result.")
        return
    states = Counter(map(str, failures.numbers["status"]))
    counts = ", ".join(f"{n} {status}" for status, n in sorted(states.items()))
    without = len(failures.numbers)
    yield Check(False, f"{without} of {there + states['missing']} cells have no result: {counts}.", "failures")
    groups = failures.text.assign(n=failures.text["cells"].astype(int)).sort_values("n", ascending=False, kind="stable")
    for row in groups.head(_REASONS).to_dict("records"):
        named = f"{row['algorithm']} {row['quantizer']} {row['bits']}"
        yield Check(False, f"{named}, {counted(row['n'], 'cell')} {row['status']}: {row['reason']}", "failures")


def _problems(problems: Table | None) -> Iterator[Check]:
    if problems is not None:
        n = len(problems.text)
        yield Check(False, f"{counted(n, 'file')} or parts of the report could not be used.", "failures")


def _design(answer: Answer, report: Report) -> Iterator[Check]:
    """How many domains, seeds and controls."""
    scope, alpha = answer.scope, report.verdict.rules.alpha
    few = scope.units.too_few(alpha)
    domains = counted(len(scope.domains), "target domain")
    alone = any(claim.answer == "not decidable" for claim in answer.judged.quantizers)
    enough = f"{domains}: enough for all quantizers together at level {alpha:g}{', too few for each alone' if alone else ''}."
    yield Check(not few, f"Too few domains: {few}." if few else enough)
    if len(scope.seeds) == 1:
        yield Check(False, "One seed: whether another one gives the same on these domains is not known.")
    else:
        yield Check(True, f"{len(scope.seeds)} seeds in each domain, each paired with float of the same seed.")
    expected = answer.judged.expected_controls
    absent = [said for name, said in expected.items() if name not in {c.control for c in answer.judged.controls}]
    if absent:
        yield Check(False, f"Not compared with {', '.join(absent)}: the gain may be no more than that gives.")
    else:
        yield Check(True, f"Compared with {counted(len(expected), 'control')} beside float.")


def _rules(report: Report) -> Iterator[Check]:
    for what, value in report.results.provenance:
        if what == "verdict":
            yield Check(False, f"Level or margin differ from those fixed with the run: {value}.", "provenance")


def _quantizers(report: Report) -> Iterator[Check]:
    """What the audits and the deployed models say: of each kind of table the first warning, and how many more there are."""
    warned: dict[str, list[tuple[Table, str]]] = {}
    for table in report.measured:
        for note in table.notes:
            if note.startswith(_WARNING):
                warned.setdefault(table.title.partition(":")[0], []).append((table, note.removeprefix(_WARNING)))
    for found in warned.values():
        first, said = found[0]
        places = [*dict.fromkeys(table.section[0] for table, _ in found if table.section)]
        about, where = (f"{places[0]}: ", f", in {', '.join(places)}") if len(places) > 1 else ("", "")
        more = f" And {counted(len(found) - 1, 'warning')} more{where}." if len(found) > 1 else ""
        yield Check(False, f"{about}{said}{more}", f"table-{first.name}")
    proofs = [table for table in report.measured if table.name.startswith("deployed-proof-")]
    if proofs:
        same, of = (sum(int(table.numbers[name].sum()) for table in proofs) for name in ("same", "n"))
        said = f"{same} of {counted(of, 'deployed model')} compute what the trained ones do."
        yield Check(same == of, said, f"table-{proofs[0].name}")
