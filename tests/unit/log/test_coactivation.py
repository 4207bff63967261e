"""Pairs of experts that run together, counted by hand and against a slow loop."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.log import coactivation
from moe_core.log.coactivation import count_pairs


def as_dict(counts: coactivation.PairCounts) -> dict[tuple[int, int, int], int]:
    rows = zip(counts.layer, counts.first, counts.second, counts.n, strict=True)
    return {(int(layer), int(first), int(second)): int(n) for layer, first, second, n in rows}


def test_three_experts_of_one_token_are_three_pairs() -> None:
    """Token 0 runs 2, 0, 1 in layer 0 and 5 in layer 1; token 1 runs 0 and 2 in layer 0."""
    place = np.array([0, 0, 0, 1, 2, 2])
    layer, expert = np.array([0, 0, 0, 1, 0, 0]), np.array([2, 0, 1, 5, 0, 2])
    assert as_dict(count_pairs(place, layer, expert)) == {(0, 0, 1): 1, (0, 0, 2): 2, (0, 1, 2): 1}


def test_no_decision_has_no_pair() -> None:
    """Neither has a token that ran one expert."""
    assert as_dict(count_pairs(*(np.empty(0, np.int64),) * 3)) == {}
    assert as_dict(count_pairs(np.array([0, 1]), np.array([0, 0]), np.array([3, 3]))) == {}


@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 7), min_size=1)), max_size=30), st.integers(1, 4))
def test_the_product_counts_what_a_loop_counts(places: list[tuple[int, set[int]]], at_once: int) -> None:
    """Any tokens in any layers, whole or in pieces of a few places."""
    expected = Counter((layer, a, b) for layer, ran in places for a, b in combinations(sorted(ran), 2))
    rows = [(place, layer, e) for place, (layer, ran) in enumerate(places) for e in ran]
    place, layer, expert = np.array(rows, np.int64).reshape(-1, 3).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coactivation, "PLACES_AT_ONCE", at_once)
        assert as_dict(count_pairs(place, layer, expert)) == expected
