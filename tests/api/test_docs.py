"""All Python of docs/python.md runs, in order, in an empty folder; README's lines name what there is."""

import re
from pathlib import Path
from typing import Any

import quantdg

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_every_python_block_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in BLOCKS:
        exec(compile(block, "docs/python.md", "exec"), names)  # noqa: S102 - our own page
    assert names["codes"].dtype.is_signed
    assert names["size"] == (tmp_path / "m.safetensors").stat().st_size
    assert "<QuantizedModel pact W4A8 mixed: 2 layers quantized, 0 steps>" in capsys.readouterr().out
    assert (tmp_path / "report" / "report.md").exists()
    assert len(names["runs"].accuracy)


def test_the_readme_names_what_there_is():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"quantdg\.([a-z_]+)\(", "".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))))
    assert {"quantize", "load_packed", "load", "run"} <= named
    assert named <= set(quantdg.__all__)
