"""The audit in slow, plain loops: what the matrix products must agree with."""

import numpy as np

from moe_core.analysis.audit.counts import RoutingCounts


def shares_of(counts: RoutingCounts) -> np.ndarray:
    totals_DL1 = counts.counts_DLE.sum(axis=2, keepdims=True)
    return np.divide(counts.counts_DLE, totals_DL1, where=totals_DL1 > 0, out=np.zeros(counts.counts_DLE.shape))


def welch_t(one: np.ndarray, other: np.ndarray) -> float:
    error = np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    return float((one.mean() - other.mean()) / error)


def jsd_bits(means: list[np.ndarray]) -> float:
    """Of any number of distributions that weigh alike."""
    middle = sum(means) / len(means)
    total = 0.0
    for mean in means:
        for p, m in zip(mean, middle, strict=True):
            if p > 0:
                total += p * np.log2(p / m)
    return total / len(means)
