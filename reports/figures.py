"""Paired gain over float, drawn: every target domain's mean, their mean and its 95 % t-interval, for each method."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from quantdg.reports import escape, gains
from quantdg.reports.cube import Cube, Floats
from quantdg.reports.order import quantizer_label
from quantdg.reports.stats.effect import t_interval

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")  # Okabe and Ito 2008
_MARKERS = "osD^vP"
_INK = "#333333"
_STYLE: Any = {
    "svg.hashsalt": "quantdg",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "savefig.dpi": 160,
}


@contextmanager
def _deterministic() -> Iterator[None]:
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def _short(name: str, width: int = 36) -> str:
    text = escape.clean(name)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _panel(axes: Axes, means: Floats) -> None:
    """Dots for the domains, spread a little; mean and interval only where no domain is missing.

    Args:
        axes: to draw in; one row for each method, from the top.
        means: domain means, shape (methods, targets); NaN where one is incomplete.
    """
    axes.axvline(0, color="#888888", lw=1, ls=(0, (4, 3)), zorder=1)
    axes.grid(axis="x", color="#e6e6e6", lw=0.8)
    rows, targets = np.arange(means.shape[0]), means.shape[1]
    spread = np.linspace(-0.22, 0.22, targets) if targets > 1 else np.zeros(1)
    for t in range(targets):
        colour, marker = _look(t)
        axes.plot(means[:, t], rows + spread[t], marker, color=colour, ms=5.5, mec="white", mew=0.6, zorder=3)
    whole = np.isfinite(means).all(axis=1)
    intervals = np.array([t_interval(row) for row in means[whole]]).reshape(-1, 3)
    axes.hlines(rows[whole], intervals[:, 1], intervals[:, 2], color=_INK, lw=1.6, zorder=2)
    axes.plot(intervals[:, 0], rows[whole], "|", ms=15, mew=2.4, color="black", zorder=2.5)
    for y in rows[~whole]:
        axes.annotate(
            "incomplete", (1, y), xycoords=("axes fraction", "data"), ha="right", va="center", color="#777777"
        )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("gain over float (points)")
    axes.tick_params(axis="y", length=0)


def _look(i: int) -> tuple[str, str]:
    return _COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)]


def _legend(figure: Figure, targets: Sequence[str]) -> None:
    look = [_look(i) for i in range(len(targets))]
    dots = [Line2D([], [], color=c, marker=m, ls="", mec="white", ms=6.5) for c, m in look]
    bar = Line2D([], [], color=_INK, marker="|", ms=11, mew=2.2, lw=1.6)
    names = [*(_short(t) for t in targets), "mean, 95 % t-interval"]
    figure.legend([*dots, bar], names, loc="outside lower center", ncols=5, frameon=False)


def gain_figure(cube: Cube, rule: str, title: str) -> Figure | None:
    """A panel for each algorithm, a row for each quantizer and control.

    Args:
        cube: one section (data set, model, protocol).
        rule: the selection rule.
        title: printed above.

    Returns:
        The figure, or None where no quantizer has that rule.
    """
    gained = dict(gains.over_float(cube, rule))
    algorithms = list(dict.fromkeys(method[0] for method in gained))
    rows = list(dict.fromkeys(method[1:3] for method in gained))
    if not rows:
        return None
    gap = np.full(cube.accuracy.shape[1:], np.nan)
    with _deterministic():
        width, height = 2.2 + 3.1 * len(algorithms), 1.5 + 0.42 * len(rows)
        figure = Figure(figsize=(max(width, 5.6), height), layout="constrained")
        panels = figure.subplots(1, len(algorithms), sharey=True, sharex=True, squeeze=False)[0]
        for axes, algorithm in zip(panels, algorithms, strict=True):
            own = np.stack([gained.get((algorithm, *row, rule), gap) for row in rows])
            _panel(axes, own.mean(axis=2))
            axes.set_title(_short(algorithm), loc="left", fontweight="bold")
        panels[0].set_yticks(range(len(rows)), [_short(quantizer_label(*row)) for row in rows])
        figure.suptitle(_short(title, 90), x=0.01, ha="left", fontsize=10)
        _legend(figure, cube.targets)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def encode(figure: Figure) -> dict[str, bytes]:
    """The figure as ``png`` and ``svg``, without dates or versions: the same bytes from the same records."""
    out = {}
    with _deterministic():
        for form, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=form, metadata=metadata)
            out[form] = buffer.getvalue()
    return out
