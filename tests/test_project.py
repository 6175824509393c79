"""The files around the code agree with each other: version, workflow, hooks, citation."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
VERSION = next(
    line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version")
)


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_citation_names_this_version():
    citation = read("CITATION.cff")
    assert citation["version"] == VERSION
    assert citation["repository-code"] in (ROOT / "pyproject.toml").read_text()
    assert f"version = {{{VERSION}}}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_workflow_runs_what_a_user_runs_on_the_oldest_and_the_newest_python():
    jobs = read(".github/workflows/ci.yml")["jobs"]
    libraries = jobs.pop("libraries")
    assert "brevitas,aimet" in str(libraries["steps"])
    pythons = [job["strategy"]["matrix"]["python"] for job in jobs.values()]
    assert pythons == [["3.10", "3.13"]] * 2
    commands = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    newest, oldest = commands.pop("unpinned")
    assert commands == {"pinned": [".ci/run"]}
    assert newest == "make coverage wheel CONSTRAINTS="
    assert oldest.endswith("make test wheel CONSTRAINTS=oldest.txt\n")


def test_the_weekly_run_has_the_oldest_supported_torch():
    job = read(".github/workflows/ci.yml")["jobs"]["unpinned"]
    assert job["strategy"]["matrix"]["torch"] == ["newest"]
    assert job["strategy"]["matrix"]["include"] == [{"python": "3.10", "torch": "oldest"}]
    (oldest,) = (step["run"] for step in job["steps"] if "'oldest'" in step.get("if", ""))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package in ("torch", "torchvision"):
        bound = project.partition(f'"{package}>=')[2].partition('"')[0]
        assert f"{package}=={bound}.*" in oldest


def test_hooks_call_the_tools_of_the_environment():
    hooks = read(".pre-commit-config.yaml")["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["ruff", "ruff-format", "mypy"]
    assert all(hook["entry"].startswith(".venv/bin/") and hook["language"] == "system" for hook in hooks)


def test_classifiers_name_the_supported_pythons():
    tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    minors = [line.rpartition("3.")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert minors == ["10", "11", "12", "13"]
    assert project["requires-python"] == f">=3.{minors[0]}"
