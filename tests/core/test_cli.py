"""The command line as a user meets it: real processes, exit codes, one-line errors."""

import os
import pwd
import re
import signal
import subprocess
import sys
import time

import pytest

from quantdg.bench.experiment import quantizer_table
from quantdg.bench.experiment.offers import offers
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
    assert first.stdout.startswith("Does quantization-aware training improve domain generalization")
    assert (tmp_path / "runs" / "report" / "report.md").exists()
    again = quantdg("run", *QUICK, "quantizer=[float,lsq]", "launcher.jobs=0", "out=runs", cwd=tmp_path)
    assert "2 done before" in again.stderr
    assert again.stdout == first.stdout
    report = quantdg("report", "runs", "--out", "elsewhere", cwd=tmp_path)
    assert report.returncode == 0
    assert (tmp_path / "elsewhere" / "report.md").read_bytes() == (tmp_path / "runs/report/report.md").read_bytes()


@pytest.fixture
def runs(tmp_path):
    """A run folder, made in this process."""
    assert main(["run", *QUICK, "quantizer=[float]", "launcher.jobs=0", f"out={tmp_path / 'runs'}"]) == 0


@pytest.mark.usefixtures("runs")
def test_the_report_never_imports_torch(tmp_path):
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


def test_list_names_every_component_on_one_screen(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert "coral" in text
    assert "torch_ao_learnable" in text
    assert len(text.splitlines()) <= 40


def test_list_of_a_group_says_what_each_choice_is(capsys, monkeypatch):
    few = {name: offer for name, offer in offers("quantizer").items() if name in {"pact", "lsq"}}
    monkeypatch.setattr(quantizer_table, "offers", lambda group: few)
    assert main(["list", "quantizers"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("pact ")]
    assert "learned" in row
    assert " 2, 4, 7, 8 " in row
    assert main(["list", "algorithm"]) == 0
    assert "correlation-alignment" in capsys.readouterr().out
    assert main(["list", "quantiser"]) == 2
    assert "quantizer" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--plan", "protocol.lr=inf"], "protocol.lr must be a finite number, got inf"),
        (["run", "--plan", "protocol.weight_decay=nan"], "protocol.weight_decay must be a finite number, got nan"),
        (["run", "--plan", "averaging.swad.tolerance=inf"], "swad.tolerance must be a finite number, got inf"),
        (["run", "--plan", "verdict.margin=inf"], "verdict.margin must be a finite number, got inf"),
        (
            ["run", "--plan", "flatness=quick", "flatness.radii=[inf]"],
            "flatness.radii must be a finite number, got inf",
        ),
        (["run", "--plan", "launcher.memory_gb=1e-320"], "launcher.memory_gb must be 0 or of a size from 1e-30"),
        (["run", "--plan", "launcher.lease_seconds=inf"], "launcher.lease_seconds must be a finite number"),
        (["run", "--plan", f"protocol.steps={10**30}"], "protocol.steps must be a whole number up to"),
        (["run", "--plan", f"seeds=[{10**30}]"], "seeds must be a whole number up to"),
        (["run", "--plan", "model.width=-1"], "model.width must be at least 1, got -1"),
        (["run", "--plan", "model.width=0"], "model.width must be at least 1, got 0"),
        (
            ["run", "--plan", "model.width=10000000"],
            "model convnet must be one that can be built, .* gives RuntimeError: ",
        ),
        (["run", "--plan", "launcher.threads=1025"], "launcher.threads must be at most 1024, got 1025"),
        (["run", "--plan", "deploy=quick", "deploy.threads=1025"], "deploy.threads from 1 to 1024, got 7 and 1025"),
        (["run", "--plan", "seeds=20250101"], "this one has 20,250,101 or more; write fewer seeds"),
        (["run", "--plan", "seeds=626"], "this one has 10,016 or more; .* or max_cells=10016"),
        (["run", "--plan", f"out={'a' * 300}"], "out must be a path with at most 255 bytes a name"),
        (["run", "--plan", f"out={'a/' * 3000}"], "out must be a path with at most 255 bytes a name and 3500 in all"),
        (["run", "--plan", "out=~nosuchuser/x"], "out must be a path, got '~nosuchuser/x', and no such home folder"),
        (["status", "~nosuchuser"], "a path must be a path, got '~nosuchuser'"),
        (["run", "--plan", "targets=thick,faint"], r"got thick,faint; write 'targets=\[thick,faint\]'"),
        (["run", "--plan", "seeds=range(0,3)"], r"seeds takes one value or a list in brackets, .*write 'seeds=\[VALUE"),
        (["run", "--plan", "protocol.lr=1e-3,1e-4"], "protocol.lr takes one value or a list in brackets"),
        (["status", "/dev/null"], "is not a run folder"),
        (["status", "no\nfolder\there"], r"no\\nfolder\\there is not a run folder"),
    ],
)
def test_a_setting_that_cannot_be_meant(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert "--multirun" not in error
    assert error.count("\n") == 1
    assert not os.listdir(tmp_path)


def test_a_large_grid_needs_a_yes(capsys):
    assert main(["run", "--plan", "seeds=626", "max_cells=10016"]) == 0
    assert "10016 cells in" in capsys.readouterr().out


@pytest.mark.usefixtures("runs")
def test_letters_that_the_output_lacks_cost_nothing(tmp_path):
    """The report has dashes and signs beyond ASCII."""
    whole = quantdg("report", "runs", "--out", "a", cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    poor = quantdg("report", "runs", "--out", "b", cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (poor.returncode, poor.stderr) == (0, "")
    assert not whole.stdout.isascii()
    assert len(poor.stdout.splitlines()) == len(whole.stdout.splitlines())
    assert (tmp_path / "a" / "report.md").read_bytes() == (tmp_path / "b" / "report.md").read_bytes()


@pytest.mark.parametrize(("closed", "jobs"), [(">&-", 0), ("<&- >&- 2>&-", 1)])
def test_closed_streams_cost_nothing(closed, jobs, tmp_path):
    """Also no file may get the number of a closed stream: what is printed would land in it."""
    words = ("run", *QUICK, "quantizer=[float]", f"launcher.jobs={jobs}", "out=runs")
    line = " ".join([sys.executable, "-m", "quantdg.bench", *(f"'{w}'" for w in words), closed])
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(tmp_path.glob("runs/cells/*.json"))) == 1
    assert (tmp_path / "runs" / "report" / "report.md").exists()


def test_an_output_that_is_full_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "quantdg.bench", "list"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "quantdg: error: cannot use the output or a connection (No space left on device); repair that and try again\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["report", "runs", "--html"],
        ["merge", "runs", "--out"],
        ["report", "runs", "--out"],
        ["claims", "runs", "--into"],
        ["export", "runs", "--csv"],
        ["publish", "runs", "--to"],
        ["deploy", "runs/0", "--out"],
    ],
)
def test_outputs_replace_neither_devices_nor_links(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept.txt").write_text("kept")
    (tmp_path / "link").symlink_to("kept.txt")
    os.mkfifo(tmp_path / "pipe")
    for place in ("link", "pipe", "/dev/null"):
        assert main([*words, place]) == 2
        error = capsys.readouterr().err
        assert re.search(r"output (file|folder) must be", error), error
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "kept.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("words", "name", "better"),
    [
        ("report runs --html", "page.pdf", "page.html"),
        ("export runs --csv", "numbers.parquet", "numbers.csv"),
        ("export runs --parquet", "numbers", "numbers.parquet"),
    ],
)
def test_a_files_name_promises_nothing_that_it_does_not_hold(words, name, better, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*words.split(), name]) == 2
    assert f"must end in .{better.partition('.')[2]}, got {name}; write {better}" in capsys.readouterr().err
    assert not os.listdir(tmp_path)


def test_without_a_home_the_cache_needs_a_place(monkeypatch, capsys):
    for name in ("HOME", "XDG_CACHE_HOME", "QUANTDG_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda number: (_ for _ in ()).throw(KeyError(number)))
    assert main(["run", "--plan"]) == 2
    error = capsys.readouterr().err
    assert "this user has no home folder; write data.cache=FOLDER, or set QUANTDG_CACHE" in error
    assert error.count("\n") == 1
    assert main(["run", "--plan", "data.cache=cache"]) == 0
