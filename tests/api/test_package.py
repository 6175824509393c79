"""The package itself: light to import, complete, typed."""

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import quantdg
import quantdg.core.errors
import quantdg.quantizers
from quantdg.quantizers.base import Quantizer

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "pandas", "numpy", "hydra", "scipy"}


def loaded_by(code):
    """Top-level modules that a fresh interpreter has after running ``code``."""
    shown = f"{code}; import sys; print(*{{n.split('.')[0] for n in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", shown], check=True, capture_output=True, text=True).stdout.split())


def test_the_package_imports_nothing_heavy():
    assert not HEAVY & loaded_by("import quantdg; dir(quantdg); quantdg.errors; quantdg.QuantDGError")


def test_records_are_read_without_torch(tmp_path):
    assert "torch" not in loaded_by("import quantdg; quantdg.load")


def test_what_there_is_to_choose_from_is_named_without_torch():
    code = "from quantdg.core.cli import main; import io, sys; sys.stdout = io.StringIO(); main(['list']); sys.stdout = sys.__stdout__"
    assert not {"torch", "numpy", "hydra", "pandas"} & loaded_by(code)


def test_a_plan_imports_what_it_needs():
    """Numba is for training, scikit-learn and pandas for tables, the compiler of torch for an optimizer's first step."""
    code = (
        "from quantdg.core.cli import main; import io, sys; sys.stdout = io.StringIO(); "
        "assert main(['run', '--plan', 'out=nowhere']) == 0; sys.stdout = sys.__stdout__; "
        "assert not {'torch._dynamo', 'torch._inductor'} & set(sys.modules)"
    )
    assert not {"numba", "sklearn", "pandas", "scipy"} & loaded_by(code)


def test_everything_exported_is_there():
    assert set(quantdg.__all__) <= set(dir(quantdg))
    for name in quantdg.__all__:
        assert getattr(quantdg, name) is not None, name
    assert quantdg.__version__ == importlib.metadata.version("quantdg")


def test_the_errors_are_all_there():
    assert quantdg.errors.QuantDGError is quantdg.QuantDGError
    own = {name for name, kind in vars(quantdg.core.errors).items() if isinstance(kind, type)}
    assert {name for name in own if issubclass(getattr(quantdg.core.errors, name), Exception)} == {
        *quantdg.errors.__all__
    }


@pytest.mark.parametrize("package", [quantdg, quantdg.quantizers])
def test_an_unknown_name_is_an_attribute_error(package):
    assert not hasattr(package, "nonsense")
    with pytest.raises(AttributeError, match=r"it has .*Rule"):
        package.nonsense  # noqa: B018


def test_every_built_in_quantizer_is_exported():
    exported = {
        kind for name in quantdg.quantizers.__all__ if isinstance(kind := getattr(quantdg.quantizers, name), type)
    }
    targets = {
        line.split(":")[1].strip().rsplit(".", 1)[1]
        for path in (ROOT / "bench" / "conf" / "quantizer").glob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("_target_")
    }
    found = {kind.__name__ for kind in exported if issubclass(kind, Quantizer) and kind is not Quantizer}
    assert found == targets


def test_a_quantizer_is_imported_when_it_is_asked_for():
    loaded_by(
        "import sys, quantdg.quantizers as q; assert 'quantdg.quantizers.lsq' not in sys.modules; "
        "q.LSQ; assert 'quantdg.quantizers.lsq' in sys.modules; assert 'quantdg.quantizers.pact' not in sys.modules"
    )


@pytest.mark.parametrize("folder", ["api", "quantizers"])
def test_type_checkers_see_the_lazy_names(folder):
    tree = ast.parse((ROOT / folder / "__init__.py").read_text())
    (block,) = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    seen = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    (table,) = [n for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "_HOMES"]
    assert set(ast.literal_eval(table.value)) == seen - {"errors"}


def test_the_links_for_type_checkers_are_complete():
    links = {path.name for path in (ROOT / ".typing" / "quantdg").iterdir()}
    assert {path.name for path in (ROOT / "api").iterdir() if path.name != "__pycache__"} <= links
