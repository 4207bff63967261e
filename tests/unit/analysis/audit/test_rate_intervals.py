"""Intervals of rates at 0 and 1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.analysis.audit.rate_intervals import (
    around,
    difference_interval,
    extreme_draws,
    gap_interval,
    rate_interval,
)
from moe_core.analysis.interval import wilson

NONE = np.full(40, np.nan)


def test_no_favourable_answer_in_314_documents_is_not_certainty() -> None:
    """Wilson: 0 to z^2 / (n + z^2), 1.2 %; all favourable: the mirror image."""
    low, high = rate_interval(np.zeros(314), NONE, False)
    assert (low, high) == (0.0, pytest.approx(1.96**2 / (314 + 1.96**2), rel=1e-3))
    assert rate_interval(np.ones(314), NONE, False) == (pytest.approx(1 - high), 1.0)


def test_requests_of_one_document_add_no_certainty() -> None:
    """Eight documents of many requests each, none favourable: n is 8."""
    assert rate_interval(np.zeros(8), NONE, False) == wilson(0, 8)


def test_rates_between_keep_their_interval() -> None:
    """Single requests: Wilson; documents of several: the bootstrap."""
    rates = np.array([1.0, 0.0, 0.0, 0.0])
    assert rate_interval(rates, NONE, True) == wilson(1, 4)
    assert rate_interval(np.array([0.5, 0.25]), np.linspace(0, 1, 1001), False) == pytest.approx((0.025, 0.975))


def test_the_difference_is_newcombes() -> None:
    """0 of 10 against 0 of 10: plus and minus the Wilson bound; his example (h): 0 of 10, 0 of 10 gives .2775."""
    zero = np.zeros(10)
    assert difference_interval(zero, zero) == pytest.approx((-0.2775, 0.2775), abs=1e-4)
    found = difference_interval(np.ones(10), np.zeros(20))  # his example (i): 10 of 10, 0 of 20
    assert found == pytest.approx((0.6791, 1.0), abs=1e-4)
    assert difference_interval(np.array([1.0, 0.0]), np.array([0.0, 1.0])) is None


@given(k=st.integers(0, 1), n=st.integers(1, 400))
def test_an_extreme_rate_never_has_an_interval_without_width(k: int, n: int) -> None:
    """Rates, gaps and resampled ratios."""
    rates = np.full(n, float(k))
    low, high = rate_interval(rates, NONE, False)
    assert low <= k <= high
    assert high - low > 0
    drawn = extreme_draws(rates, 500, np.random.default_rng(0))
    low, high = around(float(k), drawn)
    assert low <= k <= high
    assert high - low > 0
    low, high = gap_interval(np.full(n, 0.2 - k), NONE)
    assert low <= 0.2 - k <= high
    assert high - low > 0


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.98])
def test_rates_near_the_ends_are_covered(rate: float) -> None:
    """2,000 groups of 100: 93 % of the intervals or more hold the rate."""
    hits = np.random.default_rng(1).binomial(100, rate, 2000)
    held = [low <= rate <= high for low, high in (wilson(int(k), 100) for k in hits)]
    assert np.mean(held) >= 0.93
