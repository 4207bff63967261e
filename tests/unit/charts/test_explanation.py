"""Charts of one decision: what they show is what the frame holds, and foreign text stays text."""

import pandas as pd

from moe_core.charts import explanation as charts

EXPERTS = pd.DataFrame(
    {"expert_id": [0, 1], "score": [1.0, 0.42], "threshold": [0.31, 0.35], "margin": [0.69, 0.07], "runs": [True, True],
     "chosen": [False, True]}
)  # fmt: skip
PARTS = pd.DataFrame(
    {"name": ["head 3 of layer 1", "threshold"], "contribution": [0.2, -0.15], "turns": [True, False],
     "constant": [False, True], "n": [1, 1]}
)  # fmt: skip
WORDS = pd.DataFrame(
    {"index": [0, 1, 2], "word": ["the", "<b>box</b>", "the"], "change": [-0.1, 0.02, 0.01],
     "limit": [0.05, 0.05, float("nan")], "swaps": [24, 24, 0], "beyond": [True, False, False],
     "turns": [True, False, False], "holds_token": [False] * 3}
)  # fmt: skip


def test_every_expert_has_its_score_and_its_threshold() -> None:
    """One bar and one tick each; the chosen expert has a frame."""
    fig = charts.expert_scores(EXPERTS)
    assert list(fig.data[0].y) == [1.0, 0.42]
    assert list(fig.data[1].y) == [0.31, 0.35]
    assert list(fig.data[0].marker.line.width) == [0, 3]
    assert "expert 1: 0.420 against 0.350" in charts.expert_scores_alt(EXPERTS)


def test_contributions_that_turn_the_decision_are_marked() -> None:
    """Bars from the top in the order of the frame; a diamond where removal turns it; constants are pale."""
    fig = charts.contribution_bars(PARTS)
    assert list(fig.data[0].x) == [-0.15, 0.2]
    assert list(fig.data[0].marker.opacity) == [0.55, 1.0]
    assert list(fig.data[1].y) == [1]
    assert "head 3 of layer 1 with +0.200" in charts.contribution_bars_alt(PARTS)
    assert len(charts.contribution_bars(PARTS.iloc[:0]).data) == 0


def test_words_stand_over_the_band_of_neutral_swaps() -> None:
    """The first word on top, equal words apart, markup as text, the effect beyond the band in full colour."""
    fig = charts.word_bars(WORDS)
    assert list(fig.data[1].x) == [0.01, 0.02, -0.1]
    assert list(fig.layout.yaxis.ticktext) == ["the", "&lt;b&gt;box&lt;/b&gt;", "the"]
    assert list(fig.data[0].base)[2] == -0.05
    assert list(fig.data[1].marker.opacity) == [0.45, 0.45, 1.0]
    assert list(fig.data[2].y) == [2]
    assert "-0.100 without “the”; 1 of 3" in charts.word_bars_alt(WORDS)
    assert "No word" in charts.word_bars_alt(WORDS.iloc[:0])
