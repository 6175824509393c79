"""Each page about adding a part is followed word by word: its module, its entry point, its commands."""

import configparser
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from quantdg.bench.experiment.offers import COMPONENTS, ENTRY_POINTS
from quantdg.bench.experiment.signature import settings_of
from quantdg.bench.results.record import Record
from quantdg.bench.results.store import RunStore
from quantdg.core.cli import main

ROOT = Path(__file__).parents[1]
PAGES = {
    "a_dataset": ("runs/stripes", "stripes/dark/0/erm/lsq/W7"),
    "an_algorithm": ("runs/worst", "digits/thick/0/worst/lsq/W7"),
    "a_model": ("runs/patches", "digits/thick/0/erm/lsq/W7"),
    "a_step_rule": ("runs/clip", "digits/thick/0/erm+clip/lsq/W7"),
    "a_runtime": ("runs/reference", "digits/thick/0/erm/lsq/W7"),
    "a_launcher": ("runs/nice", "digits/thick/0/erm/lsq/W7"),
}


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def install(folder, page):
    """What pip would put there: the module, and the entry point in a dist-info folder."""
    module = re.search(r"A module of your package, here `(\w+)\.py`", page)[1]
    (folder / f"{module}.py").write_text(blocks(page, "python")[0])
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    toml = blocks(page, "toml")[0]
    group, name, value = re.search(r'entry-points\."([\w.]+)"\]\n(\w+) = "(.+)"', toml).groups()
    entry = configparser.ConfigParser()
    entry[group] = {name: value}
    with (info / "entry_points.txt").open("w") as file:
        entry.write(file)


def run(commands, tmp_path):
    """The commands of a page in a shell, in an empty folder."""
    script = tmp_path / "bin" / "quantdg"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m quantdg.bench "$@"\n')
    script.chmod(0o755)
    (tmp_path / "work").mkdir()
    env = {
        **os.environ,
        "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")])),
    }
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands],
        cwd=tmp_path / "work",
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("part", PAGES)
def test_the_module_of_a_page_holds_what_its_entry_point_names(part, tmp_path, monkeypatch):
    install(tmp_path, (ROOT / "docs" / f"adding_{part}.md").read_text(encoding="utf-8"))
    monkeypatch.syspath_prepend(str(tmp_path))
    [dist] = distributions(path=[str(tmp_path)])
    [entry] = dist.entry_points
    assert entry.group in ENTRY_POINTS.values()
    assert callable(entry.load())
    known = {name: group for group, name in ENTRY_POINTS.items()}
    settings = settings_of(known[entry.group], entry.load())
    assert all(setting.meaning for setting in settings.values()) or known[entry.group] not in COMPONENTS


@pytest.mark.slow
@pytest.mark.parametrize("part", PAGES)
def test_the_page_is_followed(part, tmp_path):
    page = (ROOT / "docs" / f"adding_{part}.md").read_text(encoding="utf-8")
    (tmp_path / "site").mkdir()
    install(tmp_path / "site", page)
    [commands] = blocks(page, "sh")
    done = run(commands, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder, path = PAGES[part]
    records = [r for r in RunStore(tmp_path / "work" / folder).records() if isinstance(r, Record)]
    assert path in {record.labels.path for record in records}
    assert {record.status for record in records} == {"done"}
    if part == "a_runtime":
        assert "distance to the fake-quantized network" in done.stdout
        assert "same model, no image changes" in done.stdout


def test_settings_layers_and_bits_are_said_so(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "quantizers.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for line in filter(None, "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()):
        program, *words = shlex.split(line, comments=True)
        assert (program, main(words)) == ("quantdg", 0), line
    said = capsys.readouterr().out
    assert "settings, written quantizer.lsq.SETTING=VALUE:" in said
    assert said.count("to run: ") == page.count("quantdg run --plan")
