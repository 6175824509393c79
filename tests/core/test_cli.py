"""The command line as a user meets it: real processes, exit codes, one-line errors."""

import os
import signal
import subprocess
import sys
import time

import pytest

from quantdg.core.cli import commands, main
from quantdg.core.errors import UnknownNameError

QUICK = ["targets=[thick]", "seeds=1", "protocol.steps=6", "protocol.start_step=3", "model.width=4"]

INTERRUPTIBLE = """
import signal, sys
from quantdg.core.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell is started without it
sys.exit(main())
"""


def quantdg(*words, cwd, **kwargs):
    command = [sys.executable, "-m", "quantdg.bench", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False, **kwargs)


def test_run_report_and_run_again(tmp_path):
    first = quantdg("run", *QUICK, "quantizer=[float,lsq]", "launcher.jobs=0", "out=runs", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "Accuracy by target domain" in first.stdout
    assert (tmp_path / "runs" / "report" / "report.md").exists()
    again = quantdg("run", *QUICK, "quantizer=[float,lsq]", "launcher.jobs=0", "out=runs", cwd=tmp_path)
    assert "2 done before" in again.stderr
    assert again.stdout == first.stdout
    report = quantdg("report", "runs", "--out", "elsewhere", cwd=tmp_path)
    assert report.returncode == 0
    assert (tmp_path / "elsewhere" / "report.md").read_bytes() == (tmp_path / "runs/report/report.md").read_bytes()


def test_the_report_never_imports_torch(tmp_path):
    quantdg("run", *QUICK, "quantizer=[float]", "launcher.jobs=0", "out=runs", cwd=tmp_path)
    code = (
        "import sys; from quantdg.core.cli import main; code = main(['report', 'runs']);"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "no command named 'rnu'; did you mean 'run'?"),
        (["run", "quantizer=[lqs]"], "did you mean 'lsq'?"),
        (["run", "algorithm=[emr]"], "did you mean 'erm'?"),
        (["run", "dataset=digts"], "did you mean 'digits'?"),
        (["run", "targets=[thikc]"], "did you mean 'thick'?"),
        (["run", "bits=9"], "from 2 to 8, got 9"),
        (["run", "quantizer.lsq.spec.rules=[{pattern: nothing, skip: true}]"], "'nothing' matches none"),
        (["report", "no-such-folder"], "is not a run folder"),
        (["check", "no.such:Class"], "must name something importable"),
        (["check", "quantdg.quantizers.spec:Rule"], "must be a subclass"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("quantdg: error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not os.listdir(tmp_path)


def test_usage_names_every_command(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in commands())
    assert set(commands()) >= {"run", "list", "check", "report"}


def test_list_names_components_and_references(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert "Learned Step Size Quantization" in text
    assert "coral" in text


def test_check_passes_an_own_quantizer_by_the_road_of_a_stranger(capsys):
    assert main(["check", "quantdg.quantizers.lsq:LSQ"]) == 0
    assert "failed" not in capsys.readouterr().out


def test_ctrl_c_leaves_a_folder_that_goes_on(tmp_path):
    words = [*QUICK, "seeds=2", "quantizer=[float,lsq]", "protocol.steps=200", "launcher.jobs=2", "out=runs"]
    command = [sys.executable, "-c", INTERRUPTIBLE, "run", *words]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("runs/cells/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert "Traceback" not in err
    stored = len(list(tmp_path.glob("runs/cells/*.json")))
    assert 1 <= stored < 4
    again = quantdg("run", *words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert f"{stored} done before" in again.stderr.replace("\n", " ")
    assert len(list(tmp_path.glob("runs/cells/*.json"))) == 4


def test_the_nearest_name_is_offered_only_where_it_is_near():
    assert "did you mean 'lsq'" in str(UnknownNameError("quantizer", "lsqq", ["lsq", "pact"]))
    assert "did you mean" not in str(UnknownNameError("quantizer", "zzzz", ["lsq", "pact"]))
    assert "there are: none" in str(UnknownNameError("quantizer", "x", []))


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    command = [sys.executable, "-m", "quantdg.bench", "list"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
