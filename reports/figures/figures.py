"""Every drawing of the report: the page shows them, the report folder has them as SVG and PNG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from ..frames.columns import METHOD, PRIMARY, Section, of_section
from ..frames.cube import Cube, method_label
from ..frames.deployments import in_section
from ..frames.results import Results
from ..frames.timings import costs
from ..text import escape
from .critical_difference import critical_difference
from .forest import forest
from .line_charts import by_bits, by_noise, chart, over_steps, rises
from .pareto import Point, pareto
from .svg import Picture

_NOT_DRAWN = ("last", "oracle")
_GAIN, _NOISE = "gain over float, points", "noise-to-signal of the weights"
_STEPS = {
    "target_out": ("training-target", "Training, target's 20 % part", "accuracy, %"),
    "source_acc": ("training-source", "Training, source validation", "accuracy, %"),
    "noise": ("noise", "Weight noise while training", _NOISE),
}
Named = tuple[str, Picture | None]


def _points(cube: Cube, cost: pd.DataFrame, column: str) -> list[Point]:
    """Cost and mean accuracy of the complete methods, primary selection."""
    median = cost.groupby(METHOD)[column].median()
    out = []
    for i, method in enumerate(cube.methods):
        if method[3] == PRIMARY and method[:3] in median.index and np.isfinite(cube.accuracy[i]).all():
            out.append(Point(method_label(method), float(median[method[:3]]), float(cube.accuracy[i].mean())))
    return out


def _gains(cube: Cube, where: str) -> Iterator[Named]:
    for rule in dict.fromkeys(method[3] for method in cube.methods):
        if rule not in _NOT_DRAWN:
            selection = "" if rule == PRIMARY else f", selection {rule}"
            yield f"gain-{escape.slug(rule)}", forest(cube, rule, f"Gain over float{selection}: {where}")


def _costs(results: Results, section: Section, cube: Cube, where: str) -> Iterator[Named]:
    sizes = _points(cube, of_section(results.sizes, section), "packed_file")
    yield "size", pareto(sizes, "bytes", f"Accuracy against file size: {where}")
    latency = of_section(results.latency, section)
    for i, (setting, own) in enumerate(latency.groupby(["runtime", "machine", "batch", "threads"])):
        said = "{}, batch {}, {} threads, {}".format(*(setting[i] for i in (0, 2, 3, 1)))
        points = _points(cube, own, "median_ms")
        yield f"latency-{i}", pareto(points, "ms a call", f"Accuracy against latency ({said}): {where}")
    for i, (said, own) in enumerate(costs(in_section(results.deployed, section), results.roles)):
        points = _points(cube, own, "ms")
        yield f"deployed-{i}", pareto(points, "ms a call", f"Accuracy against integer latency ({said}): {where}")


def _curves(results: Results, section: Section, cube: Cube, where: str) -> Iterator[Named]:
    said = "Mean over all (target, seed) pairs, complete methods only."
    noise = by_noise(cube, PRIMARY, of_section(results.audit, section))
    yield "gain-by-bits", chart(by_bits(cube, PRIMARY), "weight bits", _GAIN, f"Gain by bits: {where}", said)
    yield "gain-by-noise", chart(noise, f"{_NOISE}, measured", _GAIN, f"Gain by noise: {where}", said)
    steps = over_steps(cube, PRIMARY, results.curves)
    for what, (name, title, unit) in _STEPS.items():
        series = steps.get(what, {})
        yield name, chart(series, "step", unit, f"{title}: {where}", "Mean over targets and seeds.")
    flatness = of_section(results.flatness, section)
    for place in ("source", "target"):
        title, axis = f"Flatness on the {place}: {where}", "r, root-mean-square displacement of a parameter"
        said = "Rise of the loss along random directions, deployed weights, mean over cells; lower is flatter."
        yield f"flatness-{place}", chart(rises(flatness, place), axis, "F(r)", title, said)


def pictures(results: Results, names: dict[Section, str], alpha: float) -> dict[str, Picture]:
    """All drawings that have something to show, by file name; ``names`` are the sections' parts of it."""
    out: dict[str, Picture] = {}
    for section, cells in results.sections():
        where, cube = ", ".join(section), Cube.of(cells)
        made: list[Named] = [*_gains(cube, where)]
        made.append(("ranks", critical_difference(cube, PRIMARY, alpha, f"Ranks: {where}")))
        made += [*_costs(results, section, cube, where), *_curves(results, section, cube, where)]
        keys = tuple(dict.fromkeys(cube.keys_of(*cube.methods)))
        drawn = {f"figure-{name}-{names[section]}": picture for name, picture in made if picture is not None}
        out |= {name: replace(picture, keys=keys) for name, picture in drawn.items()}
    return out
