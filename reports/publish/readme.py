"""README.md of a published folder: a data set card of the Hugging Face hub, for people and for its index."""

from __future__ import annotations

import yaml

from ...bench.results.archive import FILE
from ..answer.answer import QUESTION, answer_of
from ..report import Report
from ..tables.provenance import status_line
from ..text import escape

NUMBERS = "numbers.parquet"
_SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (float("inf"), "1M<n<10M"))
TAGS = ("quantization", "quantization-aware-training", "domain-generalization", "benchmark", "quantdg")


def readme(report: Report, *, license_name: str, rows: int | None) -> str:
    """Write the card: what was asked and answered, what the files are, and the commands that make each number again.

    Args:
        report: of the records.
        license_name: of the results, as the hub names licenses.
        rows: how many numbers the Parquet file has; None: there are only the records.
    """
    parts = [
        _front_matter(report, license_name, rows),
        f"# {_title(report)}\n",
        *_answer(report),
        _files(rows),
        _again(report, rows),
    ]
    return "\n".join(parts)


def _datasets(report: Report) -> list[str]:
    return sorted(map(str, report.results.cells["dataset"].unique()))


def _title(report: Report) -> str:
    names = ", ".join(map(escape.markdown, _datasets(report)))
    return f"Quantization-aware training and domain generalization: results{f' on {names}' if names else ''}"


def _front_matter(report: Report, license_name: str, rows: int | None) -> str:
    said: dict[str, object] = {
        "license": license_name,
        "pretty_name": f"QuantDG results: {', '.join(map(escape.clean, _datasets(report)))}",
        "task_categories": ["image-classification"],
        "tags": list(TAGS),
    }
    if rows is not None:
        said["size_categories"] = [next(name for most, name in _SIZES if rows < most)]
        said["configs"] = [{"config_name": "numbers", "data_files": NUMBERS, "default": True}]
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


def _files(numbers: int | None) -> str:
    rows = [
        (
            FILE,
            "every record of the runs as `quantdg` wrote it, and the rules fixed before the first: all that reports use",
        ),
        ("verdict.json", "the answer and each claim with effect, interval and p-value (`quantdg verdict --json`)"),
    ]
    if numbers is not None:
        rows += [
            (
                NUMBERS,
                f"{numbers:,} numbers, one a row, with unit, identity and provenance (`quantdg export --parquet`)",
            ),
            ("report/index.html", "the report as one page without network"),
            ("report/", "each table as Markdown, CSV and LaTeX, each figure as files"),
        ]
    body = "\n".join(f"| `{name}` | {what} |" for name, what in rows)
    return f"## Files\n\n| file | holds |\n|---|---|\n{body}\n"


def _again(report: Report, numbers: int | None) -> str:
    rules = report.results.rules
    said = "tables, figures and page, into report/" if numbers is None else "what is in report/, byte for byte"
    return f"""## Every number again

```
quantdg report THIS_FOLDER --cells none   # writes {said}
quantdg verdict THIS_FOLDER --json         # prints verdict.json
quantdg export THIS_FOLDER --parquet FILE  # writes one row a number
quantdg merge THIS_FOLDER --out runs       # makes a run folder, to which quantdg run ... out=runs adds cells
```

Level of the tests {rules.alpha:g}, margin {rules.margin:g} points, as fixed with the runs. Models are not part of this folder:
`quantdg run` trains a cell again where its model is needed.
"""
