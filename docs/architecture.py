"""The folders of a part as layers: who imports whom, drawn and checked.

    python docs/architecture.py bench                      # lowest layer first, arrows that run up, circles
    python docs/architecture.py bench --svg bench.svg      # and draw them
    python docs/architecture.py --root OTHER_CHECKOUT bench
    python docs/architecture.py --write                    # docs/architecture.md and its drawing anew

A loose module of the part counts as a folder of its own. Imports for type checkers only do not count.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path

Graph = dict[str, set[str]]
ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
DRAWING = ROOT / "docs" / "images" / "architecture_after.svg"


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
    reach = {name: reachable(graph, name) for name in graph}

    @cache
    def depth(name: str) -> int:
        circle = {name, *(other for other in reach[name] if name in reach[other])}
        below = {other for inner in circle for other in graph[inner]} - circle
        return 1 + max(map(depth, below), default=-1)

    floors: dict[int, list[str]] = defaultdict(list)
    for name in sorted(graph):
        floors[depth(name)].append(name)
    return [floors[level] for level in sorted(floors)]


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


def placed(graph: Graph, floors: list[list[str]]) -> dict[str, tuple[float, float]]:
    """The middle of each box in pixels, layers from the ground up; a box stands near those that import it."""
    place: dict[str, tuple[float, float]] = {}
    for height, names in enumerate(reversed(floors)):
        above = {name: [place[other][0] for other in place if name in graph[other]] for name in names}
        row = sorted(names, key=lambda name: sum(above[name]) / max(1, len(above[name])))
        for i, name in enumerate(row):
            place[name] = 150 * (i - (len(row) - 1) / 2), 70 + 80 * height
    return place


def line(start: tuple[float, float], end: tuple[float, float], colour: str) -> str:
    """A curve from a box to one that it imports, bent around the boxes between."""
    (x, y), (u, v) = start, end
    rows = abs(v - y) / 80
    side = 1 if x + u >= 0 else -1
    if y == v:
        curve = f"M{x:g},{y - 14:g} Q{(x + u) / 2:g},{y - 24 - abs(u - x) / 6:g} {u:g},{v - 14:g}"
    else:
        bend = (x + u) / 2 + side * 28 * (rows - 1)
        curve = f"M{x:g},{y + 14:g} Q{bend:g},{(y + v) / 2:g} {u:g},{v - 14:g}"
    return f'<path d="{curve}" fill="none" stroke="{colour}" stroke-width="1.2"/>'


def svg(graph: Graph, title: str) -> str:
    """The same as a drawing: what is imported stands below; lines within circles are red."""
    floors, knot = layers(graph), circles(graph)
    place = placed(graph, floors)
    parts = []
    for name, others in graph.items():
        for other in sorted(others):
            inside = name in knot and other in knot
            parts.append(line(place[name], place[other], "#c0392b" if inside else "#8a97a5"))
    for name, (x, y) in place.items():
        edge = "#c0392b" if name in knot else "#34495e"
        parts.append(
            f'<rect x="{x - 62:g}" y="{y - 14:g}" width="124" height="28" rx="5" fill="#fff" stroke="{edge}"/>'
            f'<text x="{x:g}" y="{y + 4:g}" text-anchor="middle" font-size="12">{escape(name)}</text>'
        )
    width, height = max(520, 40 + 150 * max(map(len, floors))), 110 + 80 * (len(floors) - 1)
    top = min([0, *(place[a][1] - 50 - abs(place[a][0] - place[b][0]) / 12 for a in knot for b in graph[a] & knot)])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height - top:g}" font-family="sans-serif"'
    return "\n".join(
        [
            f'{head} viewBox="{-width / 2:g} {top:g} {width} {height - top:g}">',
            f'<rect x="{-width / 2:g}" y="{top:g}" width="100%" height="100%" fill="#fff"/>',
            *parts,
            f'<text x="{20 - width / 2:g}" y="{top + 24:g}" font-size="15">{escape(title)}</text>',
            "</svg>",
            "",
        ]
    )


def pages() -> dict[Path, str]:
    """What docs/architecture.md and its drawing of ``bench`` have to say now."""
    page = PAGE.read_text(encoding="utf-8")

    def block(found: re.Match[str]) -> str:
        return f"```text {found[1]}\n{text(folder_graph(found[1]))}\n```"

    drawing = svg(folder_graph("bench"), "bench/: who imports whom")
    return {PAGE: re.sub(r"```text (\w+)\n.*?```", block, page, flags=re.DOTALL), DRAWING: drawing}


def main() -> None:
    """Print the layers of a part; with ``--svg`` draw them as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="bench", help="a top folder: bench, reports, quantizers, ...")
    parser.add_argument("--svg", type=Path, help="draw there as well")
    parser.add_argument("--root", type=Path, default=ROOT, help="of the checkout to look at")
    parser.add_argument("--title", help="of the drawing")
    parser.add_argument("--write", action="store_true", help="write docs/architecture.md and its drawing anew")
    options = parser.parse_args()
    if options.write:
        for path, content in pages().items():
            path.write_text(content, encoding="utf-8")
        return
    graph = folder_graph(options.part, options.root)
    print(text(graph))
    if options.svg:
        options.svg.write_text(svg(graph, options.title or f"{options.part}/: who imports whom"))


if __name__ == "__main__":
    main()
