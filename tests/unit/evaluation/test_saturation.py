"""When routing settles: the share of the finished choice that was made already."""

import numpy as np

from moe_core.evaluation.saturation import agreement, snapshot_steps


def test_agreement_is_the_share_of_the_finished_choice_that_ran_already() -> None:
    """Two tokens, one layer, four experts: of the three pairs at the end two ran before."""
    end = np.array([[[1, 1, 0, 0]], [[0, 0, 1, 0]]], dtype=bool)
    before = np.array([[[1, 0, 1, 0]], [[0, 0, 1, 0]]], dtype=bool)
    (row,) = agreement(before, end, np.array([0, 1]))
    assert row["agreement"] == 2 / 3
    assert row["low"] <= row["agreement"] <= row["high"]


def test_the_finished_routing_agrees_with_itself_and_unrelated_routing_reaches_chance_only() -> None:
    """Independent choices with the same loads agree as often as `chance` says."""
    rng = np.random.default_rng(1)
    loads = np.array([0.9, 0.5, 0.2, 0.1])
    one, other = (rng.random((4000, 1, 4)) < loads for _ in range(2))
    text_T = np.repeat(np.arange(200), 20)
    (same,) = agreement(one, one, text_T)
    assert (same["agreement"], same["low"], same["high"]) == (1.0, 1.0, 1.0)
    (unrelated,) = agreement(other, one, text_T)
    assert unrelated["low"] < unrelated["chance"] < unrelated["high"]


def test_steps_grow_and_end_with_the_last_one() -> None:
    """Early steps are looked at closely, and the end is always there."""
    steps = snapshot_steps(1200)
    assert steps[0] == 0
    assert steps[-1] == 1200
    assert steps == sorted(set(steps))
