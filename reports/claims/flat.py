"""Whether a measure of flatness goes with the out-of-domain gap, over the rows of a claim."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..stats.correlation import NONE_FOUND, Correlation, correlate
from .differences import Differences


def correlated(found: Differences, gaps: pd.Series[float]) -> tuple[Correlation, tuple[str, ...]]:
    """Correlate what was measured with the gap by permuting rows, means over seeds, within each target.

    Args:
        found: the metric of each row.
        gaps: by key, in points.

    Returns:
        The correlation over the rows that are complete, and the records behind it.
    """
    cube = found.cube
    whole = [name for name, values in found.rows.items() if np.isfinite(values).all()]
    if not whole:
        return NONE_FOUND, ()
    keys = np.stack([cube.keys[cube.methods.index(found.methods[name])] for name in whole])
    gap = np.vectorize(lambda key: float(gaps.get(key, np.nan)), otypes=[float])(keys)
    values = np.stack([found.rows[name] for name in whole])
    return correlate(values.mean(axis=-1).T, gap.mean(axis=-1).T), tuple(map(str, keys.ravel()))
