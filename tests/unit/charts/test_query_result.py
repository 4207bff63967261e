"""The chart of any table: what is drawn first, and what foreign or strange columns become."""

from typing import Any

import pandas as pd
import pytest

from moe_core.charts import query_result as charts
from moe_core.charts.query_result import Choice

LOAD = pd.DataFrame(
    {
        "layer": [0, 0, 1, 1, 1],
        "expert_id": [0, 1, 0, 1, 2],
        "executed": [2, 3, 0, 1, 3],
        "share": [0.4, 0.6, 0.0, 0.25, 0.75],
    }
)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"layer": [0, 0, 1], "expert_id": [0, 1, 2], "n": [1, 2, 3], "share": [0.1, 0.2, 0.7]},
         Choice(kind="bar", x="expert_id", y="share", colour="layer")),
        ({"domain": ["a", "b", "c"], "mode": ["x", "y", "x"], "n": [1, 2, 3]},
         Choice(kind="bar", x="domain", y="n", colour="mode")),
        ({"layer": [0, 1], "n": [5, 6]}, Choice(kind="bar", x="layer", y="n")),
        ({"run_id": ["a"], "source": ["demo"], "n": [5]}, Choice(kind="bar", x="run_id", y="n")),
        ({"day": pd.to_datetime(["2026-01-01", "2026-01-02"]), "n": [1, 2]}, Choice(kind="line", x="day", y="n")),
        ({"a_ms": [1.0, 2.0], "b": [3, 4]}, Choice(kind="scatter", x="b", y="a_ms")),
        ({"n": [1]}, Choice(kind="bar", x="n", y="n")),
        ({"request_id": ["a", "b"], "layer": [1, 2]}, Choice(kind="bar", x="request_id", y="layer")),
        ({"text": ["a"]}, None),
        ({"n": pd.Series([], dtype="int64")}, None),
        ({"yes": [True, False]}, None),
    ],
)  # fmt: skip
def test_the_first_chart_suits_the_table(columns: dict[str, Any], expected: Choice | None) -> None:
    """Names along the axis, shares before counts upwards, few names as colours, times as a line."""
    assert charts.suggested(pd.DataFrame(columns)) == expected


def test_many_requests_over_time_are_points() -> None:
    """A hundred bars of one request each would say nothing."""
    times = pd.date_range("2026-01-01", periods=100)
    frame = pd.DataFrame({"request_id": times.astype(str), "started_at": times, "latency_ms": range(100)})
    assert charts.suggested(frame) == Choice(kind="scatter", x="started_at", y="latency_ms")


def test_bars_have_a_trace_for_each_colour() -> None:
    """Places in the order of the numbers, values as they are, side by side."""
    fig = charts.query_result(LOAD, choice=Choice(kind="bar", x="expert_id", y="share", colour="layer")).to_dict()
    assert [(trace["name"], list(trace["x"]), list(trace["y"])) for trace in fig["data"]] == [
        ("0", ["0", "1"], [0.4, 0.6]), ("1", ["0", "1", "2"], [0.0, 0.25, 0.75]),
    ]  # fmt: skip
    assert fig["layout"]["barmode"] == "group"
    assert fig["layout"]["xaxis"]["title"]["text"] == "expert_id"


def test_rows_of_the_same_place_are_stacked_and_it_is_known() -> None:
    """Otherwise one would hide the other."""
    choice = Choice(kind="bar", x="expert_id", y="executed")
    assert charts.stacked(LOAD, choice)
    assert charts.query_result(LOAD, choice=choice).to_dict()["layout"]["barmode"] == "relative"
    assert not charts.stacked(LOAD, Choice(kind="scatter", x="expert_id", y="executed"))


def test_texts_that_look_like_numbers_or_dates_stay_texts() -> None:
    """Plotly would put "007" at 7 and "2026-03" on a time axis."""
    frame = pd.DataFrame({"id": ["007", "2026-03", "1e5"], "n": [1, 2, 3]})
    axis = charts.query_result(frame, choice=Choice(kind="bar", x="id", y="n")).to_dict()["layout"]["xaxis"]
    assert (axis["type"], axis["categoryarray"]) == ("category", ["007", "2026-03", "1e5"])


def test_few_days_under_bars_are_names() -> None:
    """One day would else be an axis of microseconds; many of them are a time axis."""
    for days, kind in ((1, "category"), (100, "date")):
        frame = pd.DataFrame({"day": pd.date_range("2026-03-01", periods=days), "n": range(days)})
        fig = charts.query_result(frame, choice=Choice(kind="bar", x="day", y="n")).to_dict()
        assert fig["layout"]["xaxis"]["type"] == kind
        assert fig["data"][0]["x"][0].startswith("2026-03-01")


def test_foreign_markup_is_text_everywhere() -> None:
    """In names of columns, places and colours; no tag reaches Plotly."""
    evil = "<a href='http://example.invalid'>x</a>"
    frame = pd.DataFrame({evil: [evil, "b"], "c<b>": [evil, "d"], "n<i>": [1, 2]})
    fig = charts.query_result(frame, choice=Choice(kind="line", x=evil, y="n<i>", colour="c<b>"))
    assert "<a" not in str(fig.to_dict())
    assert "<b>" not in str(fig.to_dict())
    assert "&lt;a" in str(fig.to_dict())


def test_long_names_are_short_and_still_apart() -> None:
    """Two texts with the same beginning are two places."""
    frame = pd.DataFrame({"text": ["x" * 1000 + "1", "x" * 1000 + "2"], "n": [1, 2]})
    places = charts.query_result(frame, choice=Choice(kind="bar", x="text", y="n")).to_dict()["data"][0]["x"]
    assert len(set(places)) == 2
    assert max(len(place) for place in places) < 40


@pytest.mark.parametrize("kind", charts.KINDS)
@pytest.mark.parametrize("dark", [False, True])
def test_every_kind_takes_every_column(kind: charts.Kind, dark: bool) -> None:
    """Nulls, booleans, times, texts, integers with gaps as axis and as colour."""
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None, 3], dtype="Int64"),
            "f": [0.5, float("nan"), 1.5],
            "b": pd.array([True, None, False], dtype="boolean"),
            "s": ["a", None, "b"],
            "t": pd.to_datetime(["2026-01-01", None, "2026-01-02"]),
        }
    )
    for x in frame.columns:
        for colour in (None, *frame.columns):
            choice = Choice(kind=kind, x=x, y="n", colour=colour)
            fig = charts.query_result(frame, choice=choice, dark=dark).to_dict()
            assert sum(len(trace["y"]) for trace in fig["data"]) == 2
            assert charts.query_result_alt(frame, choice=choice) == f"n by {x}: 2 values from 1 to 3."


def test_too_many_colours_end_in_one_group() -> None:
    """Six texts and the others; numbers get steps of one colour instead."""
    frame = pd.DataFrame(
        {"s": [f"s{i}" for i in range(30)], "k": range(30), "few": [i % 12 for i in range(30)], "n": range(30)}
    )
    names = [
        t["name"]
        for t in charts.query_result(frame, choice=Choice(kind="bar", x="k", y="n", colour="s")).to_dict()["data"]
    ]
    assert names == [*(f"s{i}" for i in range(6)), "24 others"]
    traces = charts.query_result(frame, choice=Choice(kind="bar", x="k", y="n", colour="few")).to_dict()["data"]
    assert len({trace["marker"]["color"] for trace in traces}) == 12


def test_colours_differ_in_both_themes() -> None:
    """Seven groups, seven colours."""
    frame = pd.DataFrame({"s": list("abcdefg"), "n": range(7)})
    for dark in (False, True):
        fig = charts.query_result(frame, choice=Choice(kind="bar", x="s", y="n", colour="s"), dark=dark).to_dict()
        assert len({trace["marker"]["color"] for trace in fig["data"]}) == 7


def test_a_column_of_nulls_is_an_empty_figure() -> None:
    """It says why nothing is drawn."""
    frame = pd.DataFrame({"s": ["a"], "n": pd.array([None], dtype="Int64")})
    choice = Choice(kind="bar", x="s", y="n")
    assert (
        charts.query_result(frame, choice=choice).to_dict()["layout"]["annotations"][0]["text"].startswith("No number")
    )
    assert charts.query_result_alt(frame, choice=choice).startswith("No number")


def test_a_chart_draws_a_bounded_number_of_rows() -> None:
    """Ten thousand rows of an answer do not all become points."""
    frame = pd.DataFrame({"a": range(10_000), "b": range(10_000)})
    choice = Choice(kind="scatter", x="a", y="b")
    assert len(charts.drawn(frame, choice)) == charts.MOST_ROWS
    assert len(charts.query_result(frame, choice=choice).to_dict()["data"][0]["y"]) == charts.MOST_ROWS
