"""The page about adding a quantizer shows the example as it is, and all its Python runs."""

import re
from pathlib import Path

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
