"""p-values and their corrections, counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from moe_core.analysis.audit.multiplicity import Joint, benjamini_hochberg, permutation_p, permutation_rank


def test_p_counts_the_observed_labelling_too() -> None:
    """Three of four reach 2: p = 4/5; none reaches 9: 1/5; NaN stays NaN."""
    p = permutation_p(np.array([2.0, 9.0, np.nan]), np.array([1.0, 2.0, 3.0, 8.0]))
    assert p[:2].tolist() == [0.8, 0.2]
    assert np.isnan(p[2])


def test_values_that_differ_by_rounding_are_ties() -> None:
    """The same labelling, computed in another order, must count as equally extreme."""
    assert permutation_p(np.array([1.0 + 1e-7]), np.array([1.0, 0.2, 0.1])).tolist() == [0.5]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_are_those_of_scipy(p: list[float]) -> None:
    """`scipy.stats.false_discovery_control`, tests that were not made left out."""
    q = benjamini_hochberg(np.array([*p, np.nan]))
    assert q[:-1] == pytest.approx(stats.false_discovery_control(p))
    assert np.isnan(q[-1])


def test_two_families_share_one_error_rate() -> None:
    """Ranks 1/4, 2/4, 3/4, 1 of two families in opposite order: the smaller ones are 1/4, 2/4, 2/4, 1/4."""
    joint = Joint.of(np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert joint.null_B.tolist() == [0.25, 0.5, 0.5, 0.25]
    assert joint.p(np.array([0.25, 0.2, 0.5])).tolist() == [0.6, 0.2, 1.0]


def test_two_equal_families_cost_nothing() -> None:
    """min-p of a family with itself is that family: alpha is not halved."""
    statistic = np.random.default_rng(0).random(999)
    joint = Joint.of(statistic, statistic)
    assert joint.critical(0.05, 1000) == pytest.approx(0.05, abs=0.002)
    assert permutation_rank(statistic, statistic).min() == pytest.approx(1 / 999)
