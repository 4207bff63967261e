"""The frames of *Why this expert*: nothing is lost in grouping, and words keep their order."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.dashboard.why_frames import contribution_frame, expert_frame, grouped, shown_words
from moe_core.explain.decision import Contribution
from tests.unit.explain.made_up import explanation, numbers, unhurried


@unhurried
@given(st.lists(numbers, max_size=30))
def test_grouped_shares_add_up_to_all_shares(values: list[float]) -> None:
    """At most 13 rows, the others in one of them; the sum stays."""
    parts = tuple(
        Contribution(kind="head", layer=0, index=i, contribution=value, log_contribution=value)
        for i, value in enumerate(values)
    )
    frame = contribution_frame(replace(explanation(), contributions=parts), str)
    if not values:
        assert frame.empty
        return
    rows = grouped(frame, str)
    assert len(rows) <= 13
    assert rows["n"].sum() == len(values)
    assert rows["contribution"].sum() == pytest.approx(sum(values), abs=1e-9)


def test_the_chosen_expert_is_marked() -> None:
    """One row per expert, by number."""
    frame = expert_frame(explanation())
    assert list(frame["expert_id"]) == [0, 1]
    assert list(frame["chosen"]) == [False, True]


def test_of_many_words_the_largest_changes_are_shown_in_order() -> None:
    """24 bars at most; the order of the text stays."""
    frame = pd.DataFrame({"index": range(40), "change": [((i * 7) % 40) / 40 for i in range(40)]})
    shown = shown_words(frame, frame["change"] >= 0)
    assert len(shown) == 24
    assert shown["index"].is_monotonic_increasing
    assert shown["change"].min() >= frame["change"].nsmallest(16).max()
