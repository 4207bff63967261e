"""Intervals of paired differences."""

import math

import numpy as np
from numpy.typing import NDArray

BOOTSTRAPS = 2000


def paired_points(
    ours_N: NDArray[np.bool_], theirs_N: NDArray[np.bool_], *, seed: int = 0
) -> tuple[float, float, float]:
    """(difference of accuracy in points, lower, upper), 95 %, both sides of a text taken together.

    Percentile bootstrap over texts, made at least as wide as the interval of Agresti and Min (Statistics in Medicine,
    2005): where hardly any answer differs, the bootstrap alone would call a handful of texts certain.
    """
    n = len(ours_N)
    if n == 0:
        return 0.0, -100.0, 100.0
    better, worse = int((ours_N & ~theirs_N).sum()), int((theirs_N & ~ours_N).sum())
    chances = [better / n, worse / n, (n - better - worse) / n]
    draws = np.random.default_rng(seed).multinomial(n, chances, BOOTSTRAPS)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [0.025, 0.975])
    centre = (better - worse) / (n + 2)
    half = 1.96 * math.sqrt(better + worse + 1 - (better - worse) ** 2 / (n + 2)) / (n + 2)
    return 100 * (better - worse) / n, 100 * min(float(low), centre - half), 100 * max(float(high), centre + half)
