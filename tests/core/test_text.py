"""What is printed obeys nobody: names and reasons come from files, and a terminal does what some characters say."""

import ast
import io
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from quantdg.bench.results.record import Record
from quantdg.bench.sweep.plan import Plan
from quantdg.bench.sweep.progress import tell
from quantdg.bench.sweep.session import _announce
from quantdg.core.cli import main
from quantdg.core.text import printable

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "bench" / "results" / "schema1" / "a"
EVIL = "\x1b[2J\u202egnp.exe\x07\x9b31m\r\u2066"
FORGED = f"{EVIL}\nrm -rf"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain é 漢 \u2013\ttab\nline", "plain é 漢 \u2013\ttab\nline"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\rb\x00\x7f\x9b", r"a\rb\x00\u007f\u009b"),
        ("\u202egpj\u2066\u200f\u061c", r"\u202egpj\u2066\u200f\u061c"),
        ("\udce9\u2028", r"\udce9\u2028"),
    ],
)
def test_only_what_a_terminal_obeys_is_escaped(text, clean):
    assert printable(text) == clean
    printable(text).encode()


@pytest.fixture
def runs(tmp_path):
    """A folder whose records have names and reasons that a terminal would obey."""
    shutil.copytree(OLD, tmp_path / "runs")
    (tmp_path / "runs" / "run.json").write_text('{"schema": 2}')
    for number, path in enumerate(sorted((tmp_path / "runs" / "cells").iterdir())):
        record = Record.from_json(path.read_text())
        labels = replace(record.labels, target=f"{FORGED}{number}", model=FORGED, quantizer=f"lsq{FORGED}", bits="W7")
        made = {"machine": {"cpu": FORGED, "device": FORGED}, "threads": FORGED}
        record = replace(record, labels=labels, provenance=made, plan={**record.plan, "skipped": [["x", FORGED]]})
        if number == 0:
            record = replace(record, status="failed", reason=FORGED, rows={})
        path.write_text(record.to_json())
    (tmp_path / "runs" / "cells" / f"{EVIL}.json").write_text("{")
    (tmp_path / "runs" / "plans" / f"{EVIL}.json").write_text("{")
    return tmp_path / "runs"


def clean(capsys):
    """What was printed, which must be clean."""
    out, err = capsys.readouterr()
    assert not set("\x1b\u202e\x07\x9b\r\u2066") & set(out + err)
    assert "2J" in out + err
    assert [line for line in (out + err).splitlines() if line.startswith("rm -rf")] == []
    return out + err


@pytest.mark.parametrize(
    "words",
    [
        "status RUNS",
        "show RUNS",
        "show RUNS --full",
        "watch RUNS --once",
        "verdict RUNS --full",
        "claims RUNS",
        "compare RUNS RUNS --full",
        "report RUNS",
        "merge RUNS --out OUT",
    ],
)
def test_commands_that_read_a_folder_print_no_command(runs, tmp_path, capsys, words):
    said = words.replace("RUNS", str(runs)).replace("OUT", str(tmp_path / "out"))
    assert main(said.split()) in (0, 1)
    clean(capsys)


def test_the_command_of_a_cell_is_one_command_whatever_its_record_says(runs, capsys):
    key = sorted(path.stem for path in (OLD / "cells").iterdir())[1]
    assert main(["show", f"{runs}/{key}"]) == 0
    before, _, command = capsys.readouterr().out.partition("again:\n")
    words = shlex.split(command.replace("\\\n", ""), comments=True)
    assert words[:2] == ["quantdg", "run"]
    assert [word for word in words[2:] if "=" not in word] == []
    assert [line for line in before.splitlines() if line.startswith("rm -rf")] == []


def test_names_of_folders_and_words_of_the_command_line_are_escaped(tmp_path, capsys):
    for domain in ("a", f"{EVIL}b"):
        folder = tmp_path / "data" / domain / f"{EVIL}c"
        folder.mkdir(parents=True)
        for k in range(2):
            Image.fromarray(np.full((8, 8, 3), 9 * k, dtype=np.uint8)).save(folder / f"{k}.png")
    words = ["dataset=folder", f"data.root={tmp_path / 'data'}", f"data.cache={tmp_path / 'cache'}"]
    assert main(["prepare", *words]) == 0
    clean(capsys)
    assert main([EVIL]) == 2
    assert main(["run", "--plan", f"quantizer=['{EVIL}']"]) == 2
    clean(capsys)


def test_markup_of_a_name_is_none(quick):
    experiment = quick("protocol.name='[/b]x'")
    out = io.StringIO()
    console = Console(file=out, force_terminal=False, width=500)
    _announce(experiment, Plan([]), console)
    tell(console, f"[red]{EVIL}[/x]")
    assert "protocol [/b]x:" in out.getvalue()
    assert r"[red]\x1b[2J" in out.getvalue()


def test_everything_is_printed_by_the_function_that_cleans():
    """A script for a shell and the answer of a measuring process are no text; a picture for a terminal cleans its parts."""
    allowed = {"core/text.py", "core/completion.py", "bench/deploy/measure.py", "reports/answer/terminal.py"}
    for top in ("core", "bench", "reports", "datasets", "quantizers", "api"):
        for path in (ROOT / top).rglob("*.py"):
            calls = (n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
            names = {f.id for f in calls if isinstance(f, ast.Name)}
            assert "print" not in names or str(path.relative_to(ROOT)) in allowed, path
