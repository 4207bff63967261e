"""Pairs of experts that run together, counted by hand and against a slow loop."""

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.log import coactivation, queries
from moe_core.log.coactivation import count_pairs
from moe_core.log.index import Index
from moe_core.log.writer import SegmentSink
from tests.unit.log.build import make_batch, make_request, make_run


def as_dict(counts: coactivation.PairCounts) -> dict[tuple[int, int, int], int]:
    rows = zip(counts.layer, counts.first, counts.second, counts.n, strict=True)
    return {(int(layer), int(first), int(second)): int(n) for layer, first, second, n in rows}


def test_three_experts_of_one_token_are_three_pairs() -> None:
    """Token 0 runs 2, 0, 1 in layer 0 and 5 in layer 1; token 1 runs 0 and 2 in layer 0, and nothing in layer 1."""
    bounds, layer, expert = np.array([0, 3, 4, 6, 6]), np.array([0, 1, 0, 1]), np.array([2, 0, 1, 5, 0, 2])
    assert as_dict(count_pairs(bounds, layer, expert)) == {(0, 0, 1): 1, (0, 0, 2): 2, (0, 1, 2): 1}


def test_no_decision_has_no_pair() -> None:
    """Neither has a token that ran one expert."""
    nothing = np.empty(0, np.int64)
    assert as_dict(count_pairs(np.zeros(1, np.int64), nothing, nothing)) == {}
    assert as_dict(count_pairs(np.array([0, 1, 2]), np.array([0, 0]), np.array([3, 3]))) == {}


@pytest.mark.parametrize("few_experts", [0, 64], ids=["sparse", "dense"])
@given(
    places=st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 7))), max_size=30), at_once=st.integers(1, 4)
)
def test_the_product_counts_what_a_loop_counts(
    places: list[tuple[int, set[int]]], at_once: int, few_experts: int
) -> None:
    """Any tokens in any layers, whole or in pieces of a few places, for few experts and for many."""
    expected = Counter((layer, a, b) for layer, ran in places for a, b in combinations(sorted(ran), 2))
    bounds = np.cumsum([0, *(len(ran) for _, ran in places)])
    layer = np.array([layer for layer, _ in places], np.int64)
    expert = np.array([e for _, ran in places for e in ran], np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coactivation, "PLACES_AT_ONCE", at_once)
        patch.setattr(coactivation, "FEW_EXPERTS", few_experts)
        assert as_dict(count_pairs(bounds, layer, expert)) == expected


def test_the_index_counts_the_pairs_that_a_join_of_the_decisions_finds(tmp_path: Path) -> None:
    """For all runs, one run, one layer; a join of every decision with the others of its token is the slow way. Batches
    add up; runner-ups do not count."""
    rng = np.random.default_rng(0)
    with SegmentSink(tmp_path, flush_seconds=60) as sink:
        for run in ("run-a", "run-b"):
            sink.begin_run(make_run(run))
            for number in range(2):
                rows = [
                    (request, position, layer, expert, rank, bool(rng.random() < 0.7), 1.0, 0.5, 1.0, 0.5, 0)
                    for request in range(2) for position in range(3) for layer in range(2)
                    for rank, expert in enumerate(rng.permutation(3).tolist())
                ]  # fmt: skip
                sink.append([make_request(f"{run}/{number}/{r}", 3) for r in range(2)], make_batch(rows))
                sink.flush()
    slow = """
        SELECT a.layer, a.expert_id AS first, b.expert_id AS second, count(*) AS n
        FROM decisions a JOIN decisions b ON a.run_id = b.run_id AND a.request_id = b.request_id
            AND a.position = b.position AND a.layer = b.layer AND a.expert_id < b.expert_id
        WHERE a.selected AND b.selected GROUP BY ALL ORDER BY ALL
    """
    with Index.open(tmp_path) as index:
        expected = index.frame(slow).to_numpy().tolist()
        assert expected
        assert queries.coactivation(index).to_numpy().tolist() == expected
        both = [queries.coactivation(index, run)["n"].sum() for run in ("run-a", "run-b")]
        assert min(both) > 0
        assert sum(both) == sum(row[3] for row in expected)
        layer = expected[0][0]
        assert queries.coactivation(index, layer=layer)["n"].tolist() == [r[3] for r in expected if r[0] == layer]
        assert queries.coactivation(index, "nobody").empty
