"""The pages name what is there."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^\| (\d+) \| `(\S+)` \| `(\S+)` \|", PAGE, re.MULTILINE)
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def expected_pages():
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


def defined(path: Path) -> set[str]:
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names |= {node.name, *(f"{node.name}.{inner.name}" for inner in node.body if hasattr(inner, "name"))}
    return names


def test_the_path_of_a_cell_has_fifteen_lines():
    assert [int(number) for number, _, _ in STEPS] == list(range(1, 16))


@pytest.mark.parametrize(("file", "name"), [step[1:] for step in STEPS])
def test_each_line_names_what_is_defined_there(file, name):
    assert name in defined(ROOT / file)


def test_layers_and_drawing_are_not_stale():
    for path, content in expected_pages().items():
        assert path.read_text(encoding="utf-8") == content, "run python docs/architecture.py --write"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_are_there(page):
    tops = "core|bench|quantizers|datasets|reports|tests|docs|examples"
    for target in re.findall(
        rf"(?<![\w/.])((?:{tops})/[\w/.]+\.(?:py|md|sh|yaml))\b", page.read_text(encoding="utf-8")
    ):
        assert "NAME" in target or (ROOT / target).exists(), f"{page.name} names {target}"


def test_what_errors_say_to_write_is_the_same_in_every_shell():
    """zsh takes an unquoted bracket for a pattern of file names, and bash words in braces for a list."""
    for top in ("core", "bench", "quantizers", "datasets", "reports"):
        for path in (ROOT / top).rglob("*.py"):
            said = re.findall(r"(?:write|or|example) [\w.{}]+=(?:\[|\{\w+:\[).*", path.read_text(encoding="utf-8"))
            assert not said, f"{path}: write 'KEY=[VALUE]', in quotation marks"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_the_same_in_zsh(page):
    """It takes an unquoted bracket for a pattern of file names and stops."""
    for line in page.read_text(encoding="utf-8").splitlines():
        for command in re.findall(r"`(quantdg run [^`]*)`", line) or [line]:
            words = command.partition("  #")[0].split()
            if words[:1] == ["quantdg"] or command is not line:
                assert not [w for w in words if re.match(r"[+~]*[\w.]+=\[", w)], line
