"""The figure draws what the pairs say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes

from quantdg.bench.records import Record
from quantdg.bench.store import RunStore
from quantdg.reports.cube import Cube
from quantdg.reports.figures import encode, gain_figure
from quantdg.reports.frame import load

Make = Callable[..., Record]


def _drawn(axes: Axes, marker: str) -> list[float]:
    return [float(x) for line in axes.lines if line.get_marker() == marker for x in np.asarray(line.get_xdata())]


def test_dots_are_domain_means_and_the_bar_their_mean(golden: RunStore) -> None:
    figure = gain_figure(Cube.of(load(golden.root).cells), "iid", "title")
    assert figure is not None
    (axes,) = figure.axes
    assert _drawn(axes, "o") == pytest.approx([1])
    assert _drawn(axes, "s") == pytest.approx([3])
    assert _drawn(axes, "|") == pytest.approx([2])
    ((start, end),) = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    assert (start[0], end[0]) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-3)  # t(0.975, 1) * se 1


def test_no_mean_where_a_domain_is_incomplete(golden: RunStore, make: Make) -> None:
    gone = next(r for r in golden.records() if isinstance(r, Record) and r.labels.quantizer == "lsq")
    golden.cell_path(gone.key).unlink()
    figure = gain_figure(Cube.of(load(golden.root).cells), "iid", "title")
    assert figure is not None
    assert _drawn(figure.axes[0], "|") == []
    assert [text.get_text() for text in figure.axes[0].texts] == ["incomplete"]


def test_nothing_to_draw_without_a_quantizer(store: RunStore, make: Make) -> None:
    store.write(make(rows={"iid": 0.5}))
    assert gain_figure(Cube.of(load(store.root).cells), "iid", "title") is None


def test_encoded_twice_is_the_same(golden: RunStore) -> None:
    cube = Cube.of(load(golden.root).cells)
    first, second = (gain_figure(cube, "iid", "title") for _ in range(2))
    assert first is not None and second is not None
    one, two = encode(first), encode(second)
    assert one == two
    assert one["png"].startswith(b"\x89PNG")
    assert b"<svg" in one["svg"]
