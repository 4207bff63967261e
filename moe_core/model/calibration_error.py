"""Expected calibration error: how far the probability that a head states is from its share of right answers."""

import numpy as np
from numpy.typing import NDArray

BINS = 15


def expected_calibration_error(scores_N: NDArray[np.float64], correct_N: NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean over bins of equal mass of |share correct - mean score|, weighted by size; 0 is ideal, 0 for no texts.

    scores_N: probability given to the answer. Source: Naeini et al., AAAI 2015; bins of equal mass after Nguyen and
    O'Connor, EMNLP 2015.
    """
    n = len(scores_N)
    parts = np.array_split(np.argsort(scores_N, kind="stable"), min(bins, max(1, n)))
    gaps = [
        len(part) * abs(float(correct_N[part].mean()) - float(scores_N[part].mean())) for part in parts if len(part)
    ]
    return sum(gaps) / max(1, n)
