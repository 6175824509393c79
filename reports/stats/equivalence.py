"""Is a difference too small to matter? Two one-sided tests against a margin fixed beforehand."""

from __future__ import annotations

import numpy as np
from scipy import special  # type: ignore[import-untyped,unused-ignore]

from ...core.errors import ConfigError
from .effect import Floats


def tost(means: Floats, margin: float) -> Floats:
    """Return p-values of the hypothesis that the mean lies outside ``(-margin, margin)``.

    At most alpha exactly where the (1 - 2 alpha) t-interval lies inside the margin.

    Args:
        means: shape (..., domains), points, at least two domains.
        margin: points, > 0.

    Raises:
        ConfigError: the margin is not positive.

    Reference: Schuirmann (1987), Journal of Pharmacokinetics and Biopharmaceutics 15.
    """
    if not margin > 0:
        raise ConfigError(f"margin must be above 0 points, got {margin}; write for example margin=0.5")
    means = np.asarray(means, dtype=np.float64)
    n = means.shape[-1]
    error = np.maximum(means.std(axis=-1, ddof=1) / np.sqrt(n), 1e-12)
    distance = (margin - np.abs(means.mean(axis=-1))) / error
    return np.asarray(special.stdtr(n - 1, -distance))
