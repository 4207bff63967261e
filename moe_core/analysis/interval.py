"""Intervals for shares that are counted: how far a share from n cases can be off."""

import math

Z_95 = 1.959963984540054


def wilson(successes: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a share, (0, 1) where nothing was counted.

    Source: E. B. Wilson, Probable inference, JASA 22 (1927). It assumes independent cases.
    """
    if n <= 0:
        return 0.0, 1.0
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low = 0.0 if successes == 0 else max(0.0, (centre - spread) / scale)
    high = 1.0 if successes == n else min(1.0, (centre + spread) / scale)
    return low, high


def rule_of_three(n: int) -> float:
    """Upper 95 % bound of a rate that was 0 in n cases: 3/n, at most 1 (no case says nothing)."""
    return min(1.0, 3.0 / n) if n > 0 else 1.0
