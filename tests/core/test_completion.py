"""Completion as a shell asks for it, and the bash script as bash runs it."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from quantdg.bench.experiment import words
from quantdg.bench.experiment.offers import ENTRY_POINTS
from quantdg.bench.experiment.words import CONF, choice_names, groups, settings
from quantdg.core.cli import commands, main
from quantdg.core.completion import SCRIPTS, candidates

COMPLETE = """
source <(quantdg completion bash)
COMP_LINE="$1" COMP_POINT=${#1}
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_quantdg
((${#COMPREPLY[@]} == 0)) || printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash(tmp_path):
    """Presses Tab at the end of a line, given as bash splits it, and returns what bash would offer."""
    script = tmp_path / "quantdg"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m quantdg.bench "$@"\n')
    script.chmod(0o755)

    def press(line, *words):
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        command = ["bash", "--norc", "-c", COMPLETE, "bash", line, *words]
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PATH": path}, timeout=60, check=True
        )
        assert not done.stderr
        return done.stdout.splitlines()

    return press


@pytest.mark.parametrize(
    ("line", "words", "offered"),
    [
        ("quantdg ru", ["quantdg", "ru"], ["run"]),
        ("quantdg run quantizer=pac", ["quantdg", "run", "quantizer", "=", "pac"], ["pact"]),
        ("quantdg run quantizer=[float,ls", ["quantdg", "run", "quantizer", "=", "[float,ls"], ["[float,lsq"]),
        ("quantdg run 'quantizer=[ls", ["quantdg", "run", "'quantizer=[ls"], ["quantizer=[lsq"]),
        ("quantdg run --pl", ["quantdg", "run", "--pl"], ["--plan"]),
        ("quantdg status ru", ["quantdg", "status", "ru"], []),
        ("quantdg run out=ru", ["quantdg", "run", "out", "=", "ru"], []),
    ],
)
def test_bash_offers(bash, line, words, offered):
    assert bash(line, *words) == offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("quantdg comp", ["compare", "completion"]),
        ("quantdg --v", ["--version"]),
        ("quantdg completion f", ["fish"]),
        ("quantdg report --acc", ["--accuracy-from"]),
        ("quantdg check torch_ao_l", ["torch_ao_learnable"]),
        ("quantdg run algorithm=[erm,er", []),
        ("quantdg run quantizer=pact quantizer.p", "quantizer.pact.lr_ratio="),
        ("quantdg run protocol.augment_validation=t", ["protocol.augment_validation=true"]),
        ("quantdg run ver", ["verdict."]),
        ("quantdg prepare dataset=pacs_", ["dataset=pacs_hub"]),
        ("quantdg nothing x", []),
    ],
)
def test_a_line_is_answered(line, offered):
    found = candidates(line, commands())
    assert offered in found if isinstance(offered, str) else found == offered


def test_groups_and_settings_are_those_of_the_configuration():
    for group in groups():
        assert set(choice_names(group)) >= {path.stem for path in (CONF / group).glob("*.yaml")} > set()
    plain = yaml.safe_load((CONF / "config.yaml").read_text())
    assert set(plain) - {"defaults"} <= {name.partition(".")[0] for name in settings([])}
    steps = yaml.safe_load((CONF / "protocol" / "qtdog.yaml").read_text())["steps"]
    assert settings(["protocol=qtdog"])["protocol.steps"] == steps != settings([])["protocol.steps"]


def test_names_of_plugins_are_offered(monkeypatch):
    class Entry:
        name = "mine"

    monkeypatch.setattr(words, "entry_points", lambda group: [Entry] if group in ENTRY_POINTS.values() else [])
    assert all("mine" in choice_names(group) for group in ENTRY_POINTS if group != "runtime")


def test_no_torch_for_a_completion():
    code = (
        "import sys; from quantdg.core.cli import main; main(['completion', '--line', 'quantdg run quantizer=[']);"
        "assert 'torch' not in sys.modules and 'hydra' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "quantizer=[lsq" in done.stdout


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_the_script_is_one_of_its_shell(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script == SCRIPTS[shell]
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, check=True)


def test_version(capsys):
    assert main(["--version"]) == 0
    words = capsys.readouterr().out.split()
    assert words[0] == "quantdg"
    assert words[3] == f"{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]},"
