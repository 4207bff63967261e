"""p-values that hold over many cells, layers and groups at once.

Sources: Westfall and Young, Resampling-Based Multiple Testing (1993), single step; Benjamini and Hochberg, JRSS B 57
(1995); pooled null: Tusher, Tibshirani and Chu, PNAS 98 (2001).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.audit.counts import Floats
from moe_core.analysis.audit.statistics import TIE


def permutation_p(observed: Floats, null_B: Floats) -> Floats:
    """(1 + how many of the null reach it) / (B + 1), for each observed value; NaN for NaN."""
    p = (1 + _reaching(observed, null_B)) / (len(null_B) + 1)
    return np.where(np.isnan(observed), np.nan, p)


def p_by_class(observed_KC: Floats, null_BQ: Floats, class_K: NDArray[np.int64]) -> Floats:
    """`permutation_p` of every row against the null of its own class."""
    return np.stack([permutation_p(row_C, null_BQ[:, q]) for row_C, q in zip(observed_KC, class_K, strict=True)])


def benjamini_hochberg(p: Floats) -> Floats:
    """q-values: the smallest false discovery rate at which each would be found. NaN stays NaN and counts as no test."""
    q = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p.ravel()[tested])]
    scaled = p.ravel()[order] * len(order) / np.arange(1, len(order) + 1)
    q.ravel()[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


def standardised(jsd_BL: Floats) -> tuple[Floats, Floats]:
    """-> (mean, standard deviation) of each layer over all labellings, the observed one among them, so that layers that
    differ in noise weigh alike in a maximum over layers. A layer without spread gets the deviation inf."""
    mean_L, sd_L = jsd_BL.mean(axis=0), jsd_BL.std(axis=0)
    return mean_L, np.where(sd_L > 1e-15, sd_L, np.inf)


@dataclass(frozen=True, slots=True)
class Joint:
    """Several families of tests under one error rate: the smallest family-wise p of a labelling, and how often chance
    alone makes one as small (min-p). `null`: that smallest p of every labelling."""

    null_B: Floats

    @classmethod
    def of(cls, *families_B: Floats) -> "Joint":
        """`families_B`: the maximum statistic of each family for every labelling of the null."""
        ranks = [permutation_rank(family_B, family_B) for family_B in families_B]
        return cls(np.min(ranks, axis=0))

    def p(self, family_wise: Floats) -> Floats:
        """The p over all families of something whose p in its own family is `family_wise`."""
        sorted_B = np.sort(self.null_B)
        return (1 + np.searchsorted(sorted_B, family_wise + 1e-12, side="right")) / (len(sorted_B) + 1)

    def critical(self, alpha: float, steps: int) -> float:
        """The largest p in its own family, out of 1/steps, 2/steps, ..., that is found at `alpha` over all; 0: none."""
        candidates = np.arange(1, steps + 1) / steps
        found = candidates[self.p(candidates) <= alpha]
        return float(found[-1]) if len(found) else 0.0


def permutation_rank(values: Floats, null_B: Floats) -> Floats:
    """Share of the null that reaches each value, where the values are themselves part of the null."""
    return _reaching(values, null_B) / len(null_B)


def _reaching(values: Floats, null_B: Floats) -> Floats:
    """How many of the null are at least each value, or differ from it by rounding only."""
    sorted_B = np.sort(null_B)
    tie = TIE * np.maximum(np.abs(values), float(null_B.std()))
    reaching: Floats = (len(sorted_B) - np.searchsorted(sorted_B, values - tie, side="left")).astype(np.float64)
    return reaching
