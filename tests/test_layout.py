"""The folder layout keeps its promises (see CONTRIBUTING.md, "Imports")."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "core": set(),
    "quantizers": {"core"},
    "datasets": {"core"},
    "bench": {"core", "quantizers", "datasets"},
    "reports": {"core", "bench"},
}
RECORDS_ONLY = {
    "quantdg.bench.records",
    "quantdg.bench.store",
    "quantdg.bench.rules",
    "quantdg.bench.deploy.records",
    "quantdg.bench.deploy.ensemble",
}


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


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
    for path in (ROOT / top).rglob("*.py"):
        for name in imported_names(path):
            if not name.startswith("quantdg."):
                continue
            other = name.split(".")[1]
            assert other in MAY_IMPORT[top] | {top}, f"{path.relative_to(ROOT)} imports {name}"
            if top == "reports" and other == "bench":
                assert any(name.startswith(r) for r in RECORDS_ONLY), f"{path.relative_to(ROOT)} imports {name}"


def test_only_the_adapter_imports_nni():
    for top in MAY_IMPORT:
        for path in (ROOT / top).rglob("*.py"):
            imports = {name.split(".")[0] for name in imported_names(path)}
            assert "nni" not in imports or path.name == "nni_adapter.py", path


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


def test_the_changelog_opens_with_this_version():
    version = next(
        line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version")
    )
    first = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## "))
    assert first.startswith(f"## {version} ")
