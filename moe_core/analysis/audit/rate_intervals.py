"""Intervals of rates that stay honest at 0 and 1, where a bootstrap draws the same value again and again.

A document is the case: of the n documents of a group, k have the outcome. Where a document is several requests, its
own rate is one number; a group whose documents all have the rate 0, or all 1, counts as k = 0 or k = n, so that
likeness inside a document never adds certainty.

Sources: E. B. Wilson, JASA 22 (1927); R. G. Newcombe, Interval estimation for the difference between independent
proportions, Statistics in Medicine 17 (1998), method 10; Jeffreys prior Beta(1/2, 1/2): L. D. Brown, T. T. Cai and
A. DasGupta, Statistical Science 16 (2001).
"""

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.audit.counts import Floats
from moe_core.analysis.interval import wilson

NEWCOMBE = "newcombe_wilson"


def is_extreme(rates: Floats) -> bool:
    """All documents have the rate 0, or all 1."""
    return bool(len(rates)) and bool((rates == rates[0]).all()) and float(rates[0]) in (0.0, 1.0)


def rate_interval(rates: Floats, drawn_R: Floats, single: bool) -> tuple[float, float]:
    """95 % interval of the mean of `rates`, one per document: Wilson's where every document is one request
    (`single`) or the rate is 0 or 1 throughout, else the percentiles of the resampled means `drawn_R`."""
    if single or is_extreme(rates):
        return wilson(round(float(rates.sum())), len(rates))
    return _percentiles(drawn_R)


def gap_interval(gaps: Floats, drawn_R: Floats) -> tuple[float, float]:
    """The same for score minus right answer. Where all are alike, as for a score that never moves and is always right,
    the share of right answers is 0 or 1, and its Wilson interval is that of the gap."""
    if (gaps == gaps[0]).all():
        low, high = wilson(0, len(gaps))
        gap = float(gaps[0])
        return (gap, gap + (high - low)) if gap <= 0 else (gap - (high - low), gap)
    return _percentiles(drawn_R)


def difference_interval(rates: Floats, others: Floats) -> tuple[float, float] | None:
    """Newcombe's interval of mean(rates) - mean(others), where either is 0 or 1 throughout; None where neither is."""
    if not (len(rates) and len(others)) or not (is_extreme(rates) or is_extreme(others)):
        return None
    p, q = float(rates.mean()), float(others.mean())
    (p_low, p_high), (q_low, q_high) = (wilson(round(float(v.sum())), len(v)) for v in (rates, others))
    return (
        p - q - float(np.hypot(p - p_low, q_high - q)),
        p - q + float(np.hypot(p_high - p, q - q_low)),
    )


def extreme_draws(rates: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Draws of the rate of an extreme group, from Beta(k + 1/2, n - k + 1/2), in place of resampled means."""
    k = float(rates.sum())
    drawn_R: Floats = rng.beta(k + 0.5, len(rates) - k + 0.5, resamples)
    return drawn_R


def around(value: float, drawn_R: NDArray[np.floating]) -> tuple[float, float]:
    """Percentiles of draws, widened to hold the value itself."""
    low, high = _percentiles(drawn_R)
    return (min(low, value), max(high, value)) if np.isfinite(value) else (low, high)


def _percentiles(drawn_R: NDArray[np.floating]) -> tuple[float, float]:
    if not np.isfinite(drawn_R).any():
        return float("nan"), float("nan")
    low, high = np.nanquantile(drawn_R, [0.025, 0.975])
    return float(low), float(high)
