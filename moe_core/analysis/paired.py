"""The difference of two sides that answered the same texts, from how many texts changed."""

import math

import numpy as np

from moe_core.analysis.interval import Z_95

BOOTSTRAPS = 2000


def paired_difference(better: int, worse: int, n: int, *, seed: int = 0) -> tuple[float, float, float]:
    """(difference in points, lower, upper), 95 %, where `better` of n texts turned right and `worse` turned wrong.

    Percentile bootstrap over texts, made at least as wide as the interval of Agresti and Min (Statistics in Medicine,
    2005): where hardly any answer differs, the bootstrap alone would call a handful of texts certain. Without a text
    (0, -100, 100).
    """
    if n == 0:
        return 0.0, -100.0, 100.0
    chances = [better / n, worse / n, (n - better - worse) / n]
    draws = np.random.default_rng(seed).multinomial(n, chances, BOOTSTRAPS)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [0.025, 0.975])
    centre = (better - worse) / (n + 2)
    half = 1.96 * math.sqrt(better + worse + 1 - (better - worse) ** 2 / (n + 2)) / (n + 2)
    return 100 * (better - worse) / n, 100 * min(float(low), centre - half), 100 * max(float(high), centre + half)


def mean_change(total: float, squares: float, n: int) -> tuple[float, float, float]:
    """(mean, lower, upper), 95 %, of n changes with this sum and sum of squares; no interval below two texts (NaN)."""
    if n < 2:
        return (total / n if n else math.nan), math.nan, math.nan
    mean = total / n
    spread = Z_95 * math.sqrt(max(squares - n * mean * mean, 0.0) / (n - 1) / n)
    return mean, mean - spread, mean + spread
