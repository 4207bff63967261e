"""Shares of tokens for which an expert runs, with documents as the unit of the interval."""

import math

import numpy as np

from moe_core.analysis.specialization.lifts import t_quantile

MIN_DOCUMENTS = 5  # fewer carry no interval


def clustered_share(
    ran: float, tokens: float, documents: int, cc: float, cn: float, nn: float
) -> tuple[float, float, float]:
    """(share, lower, upper), 95 %, of `ran` in `tokens` tokens of `documents` documents; cc, cn, nn: sums over the
    documents of c^2, c n, n^2 (c = tokens for which it ran, n = tokens).

    Taylor series variance of a ratio (Woodruff, 1971) with a t quantile for as many documents of equal size as the sums
    are worth. NaN bounds below MIN_DOCUMENTS documents; where it never ran, the upper bound is the rule of three over
    those documents.
    """
    if tokens <= 0:
        return math.nan, math.nan, math.nan
    share = ran / tokens
    effective = tokens**2 / nn if nn > 0 else 0.0
    if documents < MIN_DOCUMENTS:
        return share, math.nan, math.nan
    if ran == 0:
        return 0.0, 0.0, min(1.0, 3.0 / effective)
    squares = max(cc - 2 * share * cn + share**2 * nn, 0.0)
    quantile = float(t_quantile(np.array([max(effective - 1, 1.0)]))[0])
    spread = quantile * math.sqrt(documents / (documents - 1) * squares) / tokens
    return share, max(0.0, share - spread), min(1.0, share + spread)
