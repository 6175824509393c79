"""The folders of a part as layers: who imports whom, drawn and checked.

    python docs/architecture.py bench                      # lowest layer first, arrows that run up, circles
    python docs/architecture.py bench --svg docs/images/architecture_bench.svg
    python docs/architecture.py --root OTHER_CHECKOUT bench

A loose module of the part counts as a folder of its own. Imports for type checkers only do not count.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from html import escape
from pathlib import Path

Graph = dict[str, set[str]]
ROOT = Path(__file__).parents[1]


def imported_names(path: Path, package: tuple[str, ...]) -> Iterator[str]:
    """Absolute dotted names that a file imports, relative ones resolved against its package.

    Args:
        path: of the file.
        package: of the file, for example ``("quantdg", "bench", "cells")``.
    """
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)


def package_of(path: Path, root: Path = ROOT) -> tuple[str, ...]:
    """The package that a file of the checkout belongs to; the folder X is imported as quantdg.X."""
    return ("quantdg", *path.relative_to(root).parts[:-1])


def folder_graph(part: str, root: Path = ROOT) -> Graph:
    """Folder -> folders it imports, inside one part of the checkout, for example ``bench``."""
    base = root / part
    folders = {p.name for p in base.iterdir() if p.is_dir() and any(p.glob("*.py"))}
    loose = {p.stem for p in base.glob("*.py")} - {"__init__", "__main__"}
    graph: Graph = {name: set() for name in sorted((folders - {"conf"}) | loose)}
    for path in sorted(base.rglob("*.py")):
        own = path.relative_to(base).parts[0].removesuffix(".py")
        for name in imported_names(path, package_of(path, root)):
            parts = name.split(".")
            if parts[:2] == ["quantdg", part] and len(parts) > 2 and own in graph:
                other = parts[2]
                if other != own and other in graph:
                    graph[own].add(other)
    return graph


def reachable(graph: Graph, start: str) -> set[str]:
    """All that ``start`` imports, directly or not; contains ``start`` where it is in a circle."""
    seen: set[str] = set()
    open_ = list(graph[start])
    while open_:
        name = open_.pop()
        if name not in seen:
            seen.add(name)
            open_ += graph[name]
    return seen


def circles(graph: Graph) -> set[str]:
    """The folders that import themselves in the end."""
    return {name for name in graph if name in reachable(graph, name)}


def layers(graph: Graph) -> list[list[str]]:
    """Lowest first: a folder stands above all that it imports; folders of one circle share a layer."""
    depth: dict[str, int] = {}

    def of(name: str, path: tuple[str, ...] = ()) -> int:
        if name not in depth:
            below = [of(other, (*path, name)) for other in graph[name] if other not in (*path, name)]
            depth[name] = 1 + max(below, default=-1)
        return depth[name]

    for name in graph:
        of(name)
    return [[n for n in sorted(graph) if depth[n] == level] for level in range(max(depth.values(), default=-1) + 1)]


def text(graph: Graph) -> str:
    """One line a folder, lowest layer first, then the counts."""
    lines = [
        f"{level:2} {name:12} -> {', '.join(sorted(graph[name])) or 'nothing'}"
        for level, names in enumerate(layers(graph))
        for name in names
    ]
    knot = sorted(circles(graph))
    arrows = sum(map(len, graph.values()))
    found = f"in circles: {', '.join(knot)}" if knot else "no circle"
    return "\n".join([*lines, "", f"{len(graph)} folders and loose modules, {arrows} arrows, {found}"])


def svg(graph: Graph, title: str) -> str:
    """The same as a drawing: layers from the ground up, arrows within circles in red."""
    floors, knot = layers(graph), circles(graph)
    width = 40 + 150 * max(map(len, floors))
    place = {
        name: (width / 2 + 150 * (i - (len(names) - 1) / 2), 60 + 80 * (len(floors) - 1 - level))
        for level, names in enumerate(floors)
        for i, name in enumerate(names)
    }
    parts = [f'<text x="20" y="24" font-size="15">{escape(title)}</text>']
    for name, others in graph.items():
        for other in sorted(others):
            (x, y), (u, v) = place[name], place[other]
            colour = "#c0392b" if name in knot and other in knot else "#8a97a5"
            bend = 60 if y == v else 0
            path = f"M{x:g},{y + 12:g} Q{(x + u) / 2:g},{(y + v) / 2 + bend:g} {u:g},{v - 12:g}"
            parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
    for name, (x, y) in place.items():
        edge = "#c0392b" if name in knot else "#34495e"
        parts.append(
            f'<rect x="{x - 62:g}" y="{y - 14:g}" width="124" height="28" rx="5" fill="#fff" stroke="{edge}"/>'
            f'<text x="{x:g}" y="{y + 4:g}" text-anchor="middle" font-size="12">{escape(name)}</text>'
        )
    height = 100 + 80 * (len(floors) - 1)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>", ""])


def main() -> None:
    """Print the layers of a part; with ``--svg`` draw them as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="bench", help="a top folder: bench, reports, quantizers, ...")
    parser.add_argument("--svg", type=Path, help="draw there as well")
    parser.add_argument("--root", type=Path, default=ROOT, help="of the checkout to look at")
    parser.add_argument("--title", help="of the drawing")
    options = parser.parse_args()
    graph = folder_graph(options.part, options.root)
    print(text(graph))
    if options.svg:
        options.svg.write_text(svg(graph, options.title or f"{options.part}/: who imports whom"))


if __name__ == "__main__":
    main()
