"""The folder layout keeps its promises (see docs/architecture.md)."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "core": set(),
    "quantizers": {"core"},
    "datasets": {"core"},
    "bench": {"core", "quantizers", "datasets"},
    "reports": {"core", "bench"},
    "api": {"core", "quantizers", "bench", "reports"},
}
LAYERS = {
    "bench": [
        "results",
        "models step_rules optimizers schedules",
        "averaging experiment packed",
        "transforms recipes",
        "algorithms",
        "training",
        "flatness deploy",
        "cells ensembles tracking",
        "engines",
        "sweep",
        "board",
        "commands",
    ],
    "reports": [
        "text stats plugins",
        "frames",
        "verdict",
        "tables figures",
        "answer export",
        "collect",
        "report",
        "page listing",
        "publish compare claims",
        "commands",
    ],
}
"""From the ground up: a folder imports only from lower lines."""


KNOW_NAMES = {
    "bench/results/roles.py": "what records of old versions left out",
    "bench/results/schema1.py": "what records of old versions wrote",
    "reports/frames/columns.py": "erm stands first",
    "reports/verdict/contrasts.py": "erm is what algorithms are measured against",
    "core/completion.py": "fish is a shell as well",
}
"""The only modules that have the name of a quantizer, an algorithm or a step rule, and why."""


def architecture():
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imports(path):
    tool = architecture()
    return list(tool.imported_names(path, tool.package_of(path)))


def test_no_init_where_it_would_hide_other_packages():
    assert not (ROOT / "datasets" / "__init__.py").exists()
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_a_foreign_datasets_package_wins_even_in_the_root(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("FOREIGN = True")
    code = f"import sys; sys.path[:] = ['', {str(tmp_path)!r}, *sys.path]; import datasets; assert datasets.FOREIGN"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("top", sorted(MAY_IMPORT))
def test_imports_point_one_way(top):
    seen = 0
    for path in (ROOT / top).rglob("*.py"):
        for name in imports(path):
            if not name.startswith("quantdg."):
                continue
            seen += 1
            other = name.split(".")[1]
            assert other in MAY_IMPORT[top] | {top}, f"{path.relative_to(ROOT)} imports {name}"
            if top == "reports" and other == "bench":
                assert name.startswith(("quantdg.bench.results.", "quantdg.bench.recipes.")), (
                    f"{path.relative_to(ROOT)} imports {name}"
                )
    assert seen or top == "core"


def test_relative_imports_are_resolved(tmp_path):
    file = tmp_path / "here.py"
    file.write_text("from . import a\nfrom ..b import c\nfrom ...core.errors import D\nimport e\n")
    found = list(architecture().imported_names(file, ("quantdg", "bench", "x")))
    assert found == ["quantdg.bench.x.a", "quantdg.bench.b.c", "quantdg.core.errors.D", "e"]


@pytest.mark.parametrize("part", sorted(LAYERS))
def test_folders_are_layers(part):
    floor = {name: level for level, line in enumerate(LAYERS[part]) for name in line.split()}
    graph = architecture().folder_graph(part, ROOT)
    assert graph.keys() == floor.keys()
    assert sum(map(len, graph.values())) > 15
    for name, others in graph.items():
        for other in others:
            assert floor[other] < floor[name], f"{part}/{name} imports {part}/{other}"


def test_circles_are_seen():
    assert architecture().circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"b", "c"}


@pytest.mark.parametrize(
    "module",
    [
        "quantdg.bench.results.store",
        "quantdg.bench.recipes.recipe",
        "quantdg.reports.report",
        "quantdg.bench.board.live",
    ],
)
def test_records_are_read_without_torch(module):
    code = f"import sys, {module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_only_the_adapter_imports_nni():
    for top in MAY_IMPORT:
        for path in (ROOT / top).rglob("*.py"):
            assert "nni" not in {n.split(".")[0] for n in imports(path)} or path.name == "nni_adapter.py", path


def public_names(path):
    return [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_") and node.name != "main"
    ]


@pytest.mark.parametrize("top", sorted(MAY_IMPORT))
def test_a_public_name_has_one_home(top):
    homes = {}
    for path in sorted((ROOT / top).rglob("*.py")):
        if "commands" in path.with_suffix("").parts[len(ROOT.parts) :]:
            continue  # a command's function has the command's name; only the command line calls it
        for name in public_names(path):
            homes.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert len(homes) > 5
    twice = {name: paths for name, paths in homes.items() if len(paths) > 1}
    assert not twice, f"rename one of each: {twice}"


def test_modules_and_functions_stay_small():
    for top in MAY_IMPORT:
        for path in (ROOT / top).rglob("*.py"):
            text = path.read_text()
            assert len(text.splitlines()) <= 250, path
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    body = [n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
                    length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                    assert length <= 40, f"{path.relative_to(ROOT)}: {node.name} has {length} lines"


def test_no_method_is_known_by_name_outside_its_file():
    conf = ROOT / "bench" / "conf"
    names = {f.stem for kind in ("quantizer", "algorithm", "step_rule") for f in (conf / kind).glob("*.yaml")}
    names -= {"float", "plain"}
    found = set()
    for top in sorted({*MAY_IMPORT} - {"quantizers"}):  # some of these take others as their base
        for path in (ROOT / top).rglob("*.py"):
            texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
            if names & {text for text in texts if isinstance(text, str)}:
                found.add(path.relative_to(ROOT).as_posix())
    assert found == {*KNOW_NAMES}


def test_a_method_is_a_short_file():
    for kind, package in (("quantizer", "quantizers"), ("algorithm", "bench/algorithms")):
        texts = [f.read_text() for f in (ROOT / "bench" / "conf" / kind).glob("*.yaml")]
        modules = {re.search(r"_target_: quantdg\.([\w.]+)\.\w+", text)[1].rpartition(".")[2] for text in texts}
        lengths = [len((ROOT / package / f"{module}.py").read_text().splitlines()) for module in modules]
        assert len(lengths) > 15
        assert median(lengths) <= 120, sorted(lengths)


def test_the_changelog_opens_with_this_version():
    version = next(
        line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version")
    )
    first = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert first.startswith(f"## {version} ")
