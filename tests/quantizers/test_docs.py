"""The page about adding a quantizer shows the example as it is; the table of quantizers is what they say."""

import re
from pathlib import Path

import pytest

from quantdg.bench.experiment.catalogue import unusable_reason
from quantdg.bench.experiment.offers import offers
from quantdg.bench.experiment.quantizer_table import FIELDS, as_markdown, quantizer_rows

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding_a_quantizer.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "ternary_plugin"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_page_shows_the_example_as_it_is():
    assert BLOCKS[0] == (EXAMPLE / "quantdg_ternary.py").read_text(encoding="utf-8")
    assert BLOCKS[1] == (EXAMPLE / "tests" / "test_ternary.py").read_text(encoding="utf-8")


def test_every_python_block_runs(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    names = {"__name__": "page"}
    for block in BLOCKS:
        exec(compile(block, "docs/adding_a_quantizer.md", "exec"), names)  # noqa: S102 - our own page
    assert "SQWA" in names
    names["test_values_by_hand"]()


def test_the_table_of_quantizers_is_what_list_prints():
    page = (ROOT / "docs" / "quantizers.md").read_text(encoding="utf-8")
    printed = [line for line in page.partition("## Settings")[0].splitlines() if line.startswith("| `")]
    reasons = {f"| `{name}` |": reason for name in offers("quantizer") if (reason := unusable_reason(name))}
    asked = as_markdown(quantizer_rows(), FIELDS).splitlines()[2:]

    def usable(lines):
        return [line for line in lines if not line.startswith(tuple(reasons) or "no line")]

    assert usable(printed) == usable(asked), "write the output of: quantdg list quantizers --markdown"
    if reasons:
        pytest.skip(f"not compared: {reasons}")


def test_every_quantizer_of_ours_has_a_family():
    assert "other" not in {row.family for row in quantizer_rows()}
