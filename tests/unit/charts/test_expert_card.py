"""Figures of one expert: hostile names are text, marks and words tell what is shown without colour."""

import pandas as pd

from moe_core.charts import expert_card as charts
from moe_core.charts.load_balance import load_heatmap

DOMAINS = pd.DataFrame({
    "domain": ["<b>law</b>", "mail"], "n": [400, 300], "runs": [200, 3], "documents": [20, 15], "share": [0.5, 0.01],
    "low": [0.4, 0.0], "high": [0.6, 0.03], "state": ["busy", "cold"],
})  # fmt: skip


def test_domains_are_text_with_marks_for_busy_and_cold() -> None:
    """Escaped names, the busiest on top, a diamond for each, intervals on both sides."""
    (trace,) = charts.use_by_domain(DOMAINS).to_dict()["data"]
    assert list(trace["y"]) == ["mail", "&lt;b&gt;law&lt;/b&gt;"]
    assert list(trace["marker"]["symbol"]) == ["diamond", "diamond"]
    assert list(trace["error_x"]["array"])[1] == 10.0
    assert "n = 400" in charts.use_by_domain_alt(DOMAINS)


def test_the_expert_stands_beside_its_equals() -> None:
    """A diamond for itself, circles for the others, the largest loss at the top."""
    frame = pd.DataFrame({
        "name": ["0:1", "0:2"], "moved": [-1.0, 0.5], "low": [-2.0, 0.0], "high": [0.0, 1.0], "load": [10, 11],
        "own": [True, False],
    })  # fmt: skip
    (trace,) = charts.against_equals(frame).to_dict()["data"]
    assert list(trace["y"]) == ["0:2", "0:1"]
    assert list(trace["marker"]["symbol"]) == ["circle", "diamond"]
    assert "-1.00 points (-2.00 to +0.00), beside 1" in charts.against_equals_alt(frame)


def test_hours_stand_against_an_equal_share() -> None:
    """The sentence names the range; no hour is no figure of zeros."""
    hours = pd.DataFrame({
        "hour": pd.to_datetime(["2026-01-01 10:00", "2026-01-01 11:00"]), "n": [6, 0], "layer_n": [10, 5],
        "over_equal": [1.8, 0.0],
    })  # fmt: skip
    assert list(charts.load_by_hour(hours).data[0].y) == [1.8, 0.0]
    assert "from 0.00 to 1.80" in charts.load_by_hour_alt(hours)
    assert not charts.load_by_hour(hours.head(0)).to_dict()["data"]


def test_every_cell_of_the_heatmap_can_be_clicked() -> None:
    """One unseen point a cell, that ends in its layer and expert."""
    frame = pd.DataFrame({
        "layer": [0, 0, 1, 1], "expert_id": [0, 1, 0, 1], "n": [5, 5, 9, 1], "load_over_ideal": [1, 1, 1.8, 0.2],
        "status": "normal",
    })  # fmt: skip
    points = load_heatmap(frame).to_dict()["data"][-1]
    assert points["type"] == "scatter"
    assert points["marker"]["opacity"] == 0
    assert [[int(v) for v in row[-2:]] for row in points["customdata"]] == [[0, 0], [0, 1], [1, 0], [1, 1]]
