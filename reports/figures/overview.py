"""The built-in drawings of a report, section by section: the page shows them, the report folder has them as files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from ...bench.results.record import HEADLINE, LAST, ORACLE
from ..frames.columns import METHOD, Section, of_section
from ..frames.cube import Cube, method_label
from ..frames.deployments import deployed_in
from ..frames.results import Results
from ..frames.timings import costs
from ..text import escape
from .critical_difference import critical_difference
from .forest import forest
from .line_charts import by_bits, by_noise, chart, over_steps, rises
from .pareto import Point, pareto
from .svg import Picture

_NOT_DRAWN = (LAST, ORACLE)
_GAIN, _NOISE = "gain over float, points", "noise-to-signal of the weights"
_STEPS = {
    "target_out": ("training-target", "Training, target's 20 % part", "accuracy, %"),
    "source_acc": ("training-source", "Training, source validation", "accuracy, %"),
    "noise": ("noise", "Weight noise while training", _NOISE),
}
Named = tuple[str, Picture | None]
Pictures = dict[str, Picture]
Draw = Callable[[Results, Section], Iterable[Named]]


def _points(cube: Cube, cost: pd.DataFrame, column: str) -> list[Point]:
    """Cost and mean accuracy of the complete methods, primary selection."""
    median = cost.groupby(METHOD)[column].median()
    out = []
    for i, method in enumerate(cube.methods):
        if method[3] == HEADLINE and method[:3] in median.index and np.isfinite(cube.accuracy[i]).all():
            out.append(Point(method_label(method), float(median[method[:3]]), float(cube.accuracy[i].mean())))
    return out


def _gains(results: Results, section: Section) -> Iterator[Named]:
    cube, where = results.cubes[section], ", ".join(section)
    for rule in dict.fromkeys(method[3] for method in cube.methods):
        if rule not in _NOT_DRAWN:
            selection = "" if rule == HEADLINE else f", selection {rule}"
            yield f"gain-{escape.slug(rule)}", forest(cube, rule, f"Gain over float{selection}: {where}")


def _ranks(results: Results, section: Section) -> Iterator[Named]:
    title = f"Ranks: {', '.join(section)}"
    yield "ranks", critical_difference(results.cubes[section], HEADLINE, results.rules.alpha, title)


def _costs(results: Results, section: Section) -> Iterator[Named]:
    cube, where = results.cubes[section], ", ".join(section)
    sizes = _points(cube, of_section(results.sizes, section), "packed_file")
    yield "size", pareto(sizes, "bytes", f"Accuracy against file size: {where}")
    latency = of_section(results.latency, section)
    for i, (setting, own) in enumerate(latency.groupby(["runtime", "machine", "batch", "threads"])):
        said = "{}, batch {}, {} threads, {}".format(*(setting[i] for i in (0, 2, 3, 1)))
        points = _points(cube, own, "median_ms")
        yield f"latency-{i}", pareto(points, "ms a call", f"Accuracy against latency ({said}): {where}")
    for i, (said, own) in enumerate(costs(deployed_in(results.deployed, section), results.roles)):
        points = _points(cube, own, "ms")
        yield f"deployed-{i}", pareto(points, "ms a call", f"Accuracy against integer latency ({said}): {where}")


def _curves(results: Results, section: Section) -> Iterator[Named]:
    cube, where = results.cubes[section], ", ".join(section)
    caption = "Mean over all (target, seed) pairs, complete methods only."
    noise = by_noise(cube, HEADLINE, of_section(results.audit, section))
    yield (
        "gain-by-bits",
        chart(by_bits(cube, HEADLINE), "weight bits", _GAIN, f"Gain by bits: {where}", caption=caption),
    )
    yield "gain-by-noise", chart(noise, f"{_NOISE}, measured", _GAIN, f"Gain by noise: {where}", caption=caption)
    steps = over_steps(cube, HEADLINE, results.curves)
    for what, (name, title, unit) in _STEPS.items():
        series = steps.get(what, {})
        yield name, chart(series, "step", unit, f"{title}: {where}", caption="Mean over targets and seeds.")
    flatness = of_section(results.flatness, section)
    for place in ("source", "target"):
        title, axis = f"Flatness on the {place}: {where}", "r, root-mean-square displacement of a parameter"
        caption = "Rise of the loss along random directions, deployed weights, mean over cells; lower is flatter."
        yield f"flatness-{place}", chart(rises(flatness, place), axis, "F(r)", title, caption=caption)


def _by_section(results: Results, draw: Draw) -> Pictures:
    """What there is to draw of every section, by file name, each with the records behind it."""
    out: Pictures = {}
    for section, part in results.section_names.items():
        cube = results.cubes[section]
        keys = tuple(dict.fromkeys(cube.keys_of(*cube.methods)))
        drawn = {f"figure-{name}-{part}": picture for name, picture in draw(results, section) if picture is not None}
        out |= {name: replace(picture, keys=keys, section=section) for name, picture in drawn.items()}
    return out


def gain_figures(results: Results) -> Pictures:
    """Draw the paired gains by target domain, a forest plot for each selection rule."""
    return _by_section(results, _gains)


def rank_figures(results: Results) -> Pictures:
    """Draw the critical-difference diagram of each section."""
    return _by_section(results, _ranks)


def cost_figures(results: Results) -> Pictures:
    """Draw accuracy against file size, latency and integer latency."""
    return _by_section(results, _costs)


def curve_figures(results: Results) -> Pictures:
    """Draw gains by bits and noise, training, noise and flatness."""
    return _by_section(results, _curves)
