"""Charts about experts: what is called at full strength, foreign names as text, the log axis of pairs, empty frames."""

import math

import pandas as pd
import pytest

from moe_core.charts import expert_map, specialization
from moe_core.charts.theme import DARK, LIGHT

CELLS = pd.DataFrame(
    {
        "label": ["numbers"] * 2 + ["<a href=x>law</a>"] * 2, "layer": 0, "expert_id": [0, 1, 0, 1],
        "lift": [4.0, 0.0, 1.0, float("nan")], "low": 0.5, "high": 2.0, "n": [50, 50, 80, 80],
        "called": [True, False, False, False],
    }
)  # fmt: skip
PAIRS = pd.DataFrame(
    {"layer": [0, 0], "first": [0, 1], "second": [1, 2], "n": [40, 0], "over_chance": [2.0, 0.0],
     "low": [1.5, math.nan], "high": [3.0, math.nan]}
)  # fmt: skip
POINTS = pd.DataFrame(
    {"x": [0.0, 1.0, 2.0], "y": [0.0, 1.0, 0.0], "cluster": [0, 0, 1], "label": ["a", "<b>b</b>", "c"]}
)
CURVE = pd.DataFrame({"n_clusters": [2, 3], "stability": [0.9, 0.5], "low": 0.4, "high": 1.0, "null": [0.6, 0.5]})
STEPS = pd.DataFrame(
    {"step": [10, 20, 10, 20], "layer": [0, 0, 1, 1], "agreement": [0.5, 0.9, 0.6, 0.9], "low": 0.4, "high": 0.95}
)


def test_what_is_not_called_is_faded_and_what_is_unknown_left_out() -> None:
    """Two layers of cells: called ones strong. A lift of 0 has the last colour, an unknown one none."""
    figure = specialization.lift_heatmap(CELLS).to_dict()
    faded, strong = figure["data"]
    assert faded["opacity"] < strong["opacity"] == 1.0
    assert [list(row) for row in strong["z"]] == [[2.0, None], [None, None]]
    assert [list(row) for row in faded["z"]] == [[None, -2.0], [0.0, None]]
    assert "<a" not in str(strong["y"])
    assert "numbers with 4.0×" in specialization.lift_heatmap_alt(CELLS)
    assert "none is called" in specialization.lift_heatmap_alt(CELLS.assign(called=False))


def test_pairs_stand_on_a_log_axis() -> None:
    """Twice chance is one to the right; none at all is at its end, not at minus infinity."""
    figure = specialization.partner_pairs(PAIRS)
    assert sorted(figure.data[0].x) == [-6.0, 1.0]
    assert [note.text for note in figure.layout.annotations] == ["0.00×", "2.00×"]
    assert "2.00×" in specialization.partner_pairs_alt(PAIRS)


def test_the_map_carries_clusters_for_a_click_and_labels_as_text() -> None:
    """Other clusters than the chosen one are faint."""
    figure = expert_map.cluster_map(POINTS, {0: "A", 1: "B"}, chosen=1).to_dict()
    first, second = figure["data"]
    assert first["marker"]["opacity"] < second["marker"]["opacity"]
    assert [list(row) for row in first["customdata"]] == [[0, 0], [0, 1]]
    assert "<b>" not in str(first["text"])


def test_stability_and_saturation_say_what_they_show() -> None:
    """In one sentence each."""
    assert "2 clusters" in expert_map.stability_curve_alt(CURVE, chosen=2)
    assert "No number" in expert_map.stability_curve_alt(CURVE, chosen=1)
    assert len(expert_map.stability_curve(CURVE, least=0.7, chosen=2).data) == 2
    assert len(expert_map.saturation(STEPS).data) == 2
    assert "50% to 60%" in expert_map.saturation_alt(STEPS)


@pytest.mark.parametrize("dark", [False, True])
def test_empty_frames_say_why_there_is_nothing(dark: bool) -> None:
    """No error, no axis; transparent in both themes."""
    nothing = pd.DataFrame({name: [] for name in [*CELLS.columns, *PAIRS.columns, *CURVE.columns, "cluster", "step"]})
    figures = [
        specialization.lift_heatmap(nothing, dark=dark), specialization.partner_pairs(nothing, dark=dark),
        specialization.layer_agreement(nothing, dark=dark), expert_map.cluster_map(nothing, {}, dark=dark),
        expert_map.stability_curve(nothing, least=0.7, chosen=1, dark=dark), expert_map.saturation(nothing, dark=dark),
    ]  # fmt: skip
    for figure in figures:
        assert figure.layout.annotations[0].text
        assert figure.layout.annotations[0].font.color == (DARK if dark else LIGHT).muted
