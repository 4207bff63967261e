"""Does an expert carry a difference? Changes by hand, controls that match, ranks against them."""

import numpy as np
import pytest

from moe_core.analysis.expert_effect import (
    CONTROL,
    FLAGGED,
    GROUP,
    GROUP_CONTROL,
    Answers,
    Masked,
    effects,
    matched_controls,
    matched_groups,
)
from moe_core.errors import AuditError

LOAD = np.array([[100, 90, 60, 10, 199], [100, 51, 49, 150, 300]])


def answers(favourable: list[int], score: list[float] | None = None, right: list[int] | None = None) -> Answers:
    return Answers(
        np.array(favourable, dtype=bool),
        np.array(score if score is not None else favourable, dtype=float),
        None if right is None else np.array(right, dtype=bool),
    )


def test_controls_have_a_similar_load_and_come_from_the_same_layer_first() -> None:
    """Half to double of 100: in layer 0 those of 90, 60 and 199, then in layer 1 those of 100, 150 and 51."""
    assert matched_controls(LOAD, (0, 0), [], 20) == [(0, 1), (0, 2), (0, 4), (1, 0), (1, 3), (1, 1)]
    assert matched_controls(LOAD, (0, 0), [(0, 1), (1, 0)], 3) == [(0, 2), (0, 4), (1, 3)]
    assert matched_controls(LOAD, (0, 3), [], 20) == []


def test_groups_of_controls_hold_one_for_each_and_nothing_twice() -> None:
    """Two flagged experts with controls a, b and a, c: three sets of two, since a cannot stand in twice."""
    a, b, c = (0, 1), (0, 2), (1, 1)
    assert set(matched_groups([[a, b], [a, c]], [0, 1], 5, 20, seed=1)) == {(a, c), (a, b), (b, c)}
    assert matched_groups([[a], []], [0, 1], 5, 20, seed=1) == []
    assert matched_groups([[a], [b]], [0, 0], 2, 20, seed=1) == []  # nobody would be left in layer 0


def test_the_change_of_gap_and_quality_by_hand() -> None:
    """Group: 20 texts, 15 favourable; others: 20, 5. Masking takes 10 favourable answers from the group and gives 5 to
    the others: the gap of 50 points falls by 75. Right answers: 40 before, 25 after."""
    group = np.repeat([True, False], 20)
    whole = answers([1] * 15 + [0] * 5 + [1] * 5 + [0] * 15, right=[1] * 40)
    without = answers([1] * 5 + [0] * 15 + [1] * 10 + [0] * 10, right=[1] * 25 + [0] * 15)
    row = effects(whole, [Masked(FLAGGED, ((0, 0),), 100, without)], group, seed=0).iloc[0]
    assert row["gap"] == pytest.approx(50)
    assert row["change"] == pytest.approx(-75)
    assert row["low"] < -75 < row["high"] < 0
    assert row["score_change"] == pytest.approx(-750)
    assert row["quality_change"] == pytest.approx(-37.5)
    assert row["quality_low"] < -37.5 < row["quality_high"]
    assert np.isnan(row["p"])  # nobody to compare with


def test_an_expert_is_ranked_by_its_change_against_the_controls_of_its_kind() -> None:
    """Of four controls one changes the gap as much: p = 2 / 5. The group is ranked against groups only."""
    group = np.repeat([True, False], 20)
    whole = answers([0] * 40, [0.5] * 40)

    def moved(kind: str, expert: int, by: float) -> Masked:
        return Masked(kind, ((0, expert),), 1, answers([0] * 40, [0.5 + by] * 20 + [0.5] * 20))

    masked = [moved(CONTROL, e, by) for e, by in enumerate((0.01, -0.02, 0.2, 0.0))]
    masked += [moved(FLAGGED, 9, -0.2), moved(FLAGGED, 8, 0.3), moved(GROUP, 7, 0.1), moved(GROUP_CONTROL, 6, 0.05)]
    frame = effects(whole, masked, group, seed=0)
    assert frame["kind"].tolist()[:4] == [FLAGGED, FLAGGED, GROUP, CONTROL]
    assert frame["experts"].tolist()[:2] == [((0, 8),), ((0, 9),)]
    assert frame["p"].tolist()[:3] == pytest.approx([1 / 5, 2 / 5, 1 / 2])
    assert frame["larger_controls"].tolist()[:2] == [0, 1]
    assert frame["quality_change"].isna().all()
    own = {(0, 9): [(0, 0), (0, 1)], (0, 8): [(0, 0), (0, 1), (0, 2)]}
    ranked = effects(whole, masked, group, seed=0, own=own)
    assert ranked["p"].tolist()[:2] == pytest.approx([1 / 4, 1 / 3])
    assert ranked["controls"].tolist()[:2] == [3, 2]


def test_intervals_hold_no_change_in_95_of_100_cases() -> None:
    """Answers that flip at random, alike on both sides: the interval of the change holds 0 in 93 to 97 % of 400 runs,
    within what 400 runs can tell."""
    rng = np.random.default_rng(4)
    group = np.arange(200) % 3 == 0
    held = 0
    for run in range(400):
        before, after = rng.random((2, 200)) < 0.3
        masked = Masked(FLAGGED, ((0, 0),), 1, answers(after.tolist()))
        row = effects(answers(before.tolist()), [masked], group, seed=run)
        held += bool(row["low"].iloc[0] <= 0 <= row["high"].iloc[0])
    assert 365 <= held <= 395


def test_small_groups_are_refused() -> None:
    """One sentence with both sizes."""
    group = np.repeat([True, False], [19, 21])
    with pytest.raises(AuditError, match="19 texts and all others 21: at least 20"):
        effects(answers([0] * 40), [Masked(FLAGGED, ((0, 0),), 1, answers([0] * 40))], group, seed=0)
