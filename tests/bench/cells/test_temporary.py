"""What a killed driver leaves in the folder for temporary files is removed by the next one, and nothing else is."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from quantdg.bench.cells.process import current_process
from quantdg.bench.cells.temporary import MARK

CODE = """
import multiprocessing, os, sys, time
from quantdg.bench.cells.temporary import mark_temporary_folder
print(mark_temporary_folder(), flush=True)
multiprocessing.get_context("forkserver").Process(target=print).start()
if sys.argv[1:] == ["kill"]:
    os.kill(os.getpid(), 9)
"""


def driver(folder, *words):
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()[0]


def test_the_next_driver_removes_what_a_killed_one_left(tmp_path):
    code, left = driver(tmp_path, "kill")
    assert code == -signal.SIGKILL
    assert os.path.isdir(left)
    assert any(name.startswith("listener-") for name in os.listdir(left))
    code, own = driver(tmp_path)
    assert code == 0
    assert not os.path.exists(left)
    assert not os.path.exists(own)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("what", ["alive", "elsewhere", "no mark", "odd mark", "link", "pipe"])
def test_nothing_else_is_removed(tmp_path, what):
    folder = tmp_path / "pymp-kept"
    folder.mkdir()
    me = current_process()
    dead = replace(me, pid=2**22 + 1)
    if what == "alive":
        (folder / MARK).write_text(json.dumps(asdict(me)))
    elif what == "elsewhere":
        (folder / MARK).write_text(json.dumps(asdict(replace(dead, boot="another"))))
    elif what == "odd mark":
        (folder / MARK).write_text("[" * 9000)
    elif what == "link":
        folder.rename(tmp_path / "far")
        folder.symlink_to("far")
        (folder / MARK).write_text(json.dumps(asdict(dead)))
    elif what == "pipe":
        os.mkfifo(folder / MARK)
    assert driver(tmp_path)[0] == 0
    assert folder.exists()
