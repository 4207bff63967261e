"""Intervals of paired differences."""

import numpy as np
from numpy.typing import NDArray

BOOTSTRAPS = 2000


def paired_points(
    ours_N: NDArray[np.bool_], theirs_N: NDArray[np.bool_], *, seed: int = 0
) -> tuple[float, float, float]:
    """(difference of accuracy in points, lower, upper): 95 % percentile bootstrap over texts, both sides of a text
    together."""
    difference_N = ours_N.astype(np.float64) - theirs_N.astype(np.float64)
    n = len(difference_N)
    if n == 0:
        return 0.0, 0.0, 0.0
    # a resampled mean needs only how many texts got better and worse
    better, worse = float((difference_N > 0).mean()), float((difference_N < 0).mean())
    draws = np.random.default_rng(seed).multinomial(n, [better, worse, max(0.0, 1 - better - worse)], BOOTSTRAPS)
    means = (draws[:, 0] - draws[:, 1]) / n
    low, high = np.quantile(means, [0.025, 0.975])
    return 100 * float(difference_N.mean()), 100 * float(low), 100 * float(high)
