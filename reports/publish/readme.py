"""README.md of a published folder: a data set card of the Hugging Face hub, for people and for its index."""

from __future__ import annotations

import yaml

from ...bench.results.archive import FILE
from ..answer.answer import QUESTION, answer_of
from ..report import Report
from ..tables.provenance import status_line
from ..text import escape

TAGS = ("quantization", "quantization-aware-training", "domain-generalization", "benchmark", "quantdg")


def readme(report: Report, *, license_name: str, only_records: bool) -> str:
    """Write the card: what was asked and answered, what the files are, and the commands that make each number again."""
    parts = [
        _front_matter(report, license_name),
        f"# {_title(report)}\n",
        *_answer(report),
        _files(only_records),
        _again(report, only_records),
    ]
    return "\n".join(parts)


def _datasets(report: Report) -> list[str]:
    return sorted(map(str, report.results.cells["dataset"].unique()))


def _title(report: Report) -> str:
    names = ", ".join(map(escape.markdown, _datasets(report)))
    return f"Quantization-aware training and domain generalization: results{f' on {names}' if names else ''}"


def _front_matter(report: Report, license_name: str) -> str:
    said = {
        "license": license_name,
        "pretty_name": f"QuantDG results: {', '.join(map(escape.clean, _datasets(report)))}",
        "task_categories": ["image-classification"],
        "tags": list(TAGS),
    }
    return f"---\n{yaml.safe_dump(said, sort_keys=False, allow_unicode=True)}---\n"


def _answer(report: Report) -> list[str]:
    answer = answer_of(report.verdict, report.results)
    lines = [f"{QUESTION}\n"]
    if answer is not None:
        lines.append(f"**{answer.word}** {answer.counts}\n")
        lines += [
            f"{escape.markdown(said)}\n"
            for said in (answer.sentence, answer.takes, answer.beyond, answer.controls)
            if said
        ]
    return [*lines, f"{status_line(report.results)}\n"]


def _files(only_records: bool) -> str:
    rows = [
        (
            FILE,
            "every record of the runs as `quantdg` wrote it, and the rules fixed before the first: all that reports use",
        ),
        ("verdict.json", "the answer and each claim with effect, interval and p-value (`quantdg verdict --json`)"),
    ]
    if not only_records:
        rows += [
            ("report/index.html", "the report as one page without network"),
            ("report/", "each table as Markdown, CSV and LaTeX, each figure as files"),
        ]
    body = "\n".join(f"| `{name}` | {what} |" for name, what in rows)
    return f"## Files\n\n| file | holds |\n|---|---|\n{body}\n"


def _again(report: Report, only_records: bool) -> str:
    rules = report.results.rules
    said = "tables, figures and page" if only_records else "what is in report/, byte for byte"
    return f"""## Every number again

```
quantdg report THIS_FOLDER                # writes {said}
quantdg verdict THIS_FOLDER --json        # prints verdict.json
quantdg merge THIS_FOLDER --out runs      # makes a run folder, to which quantdg run ... out=runs adds cells
```

Level of the tests {rules.alpha:g}, margin {rules.margin:g} points, as fixed with the runs. Models are not part of this folder:
`quantdg run` trains a cell again where its model is needed.
"""
