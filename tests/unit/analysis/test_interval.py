"""Intervals of counted shares."""

import pytest

from moe_core.analysis.interval import rule_of_three, wilson


def test_wilson_by_hand() -> None:
    """8 of 10: the published Wilson interval is 0.490 to 0.943."""
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.4902, abs=5e-4)
    assert high == pytest.approx(0.9433, abs=5e-4)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (0, 1)])
def test_wilson_stays_within_0_and_1(k: int, n: int) -> None:
    """At the edges the interval still has width and stays a share."""
    low, high = wilson(k, n)
    assert 0.0 <= low < high <= 1.0


def test_no_case_says_nothing() -> None:
    """Without a case, everything between 0 and 1 is possible."""
    assert wilson(0, 0) == (0.0, 1.0)
    assert rule_of_three(0) == 1.0


def test_rule_of_three() -> None:
    """0 of 300 allows a true rate of up to 1 %; 0 of 2 says nothing more than 100 %."""
    assert rule_of_three(300) == pytest.approx(0.01)
    assert rule_of_three(2) == 1.0
