"""Intervals of paired differences."""

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.paired import paired_difference


def paired_points(
    ours_N: NDArray[np.bool_], theirs_N: NDArray[np.bool_], *, seed: int = 0
) -> tuple[float, float, float]:
    """(difference of accuracy in points, lower, upper), 95 %, both sides of a text taken together: see
    `paired_difference`."""
    better, worse = int((ours_N & ~theirs_N).sum()), int((theirs_N & ~ours_N).sum())
    return paired_difference(better, worse, len(ours_N), seed=seed)
