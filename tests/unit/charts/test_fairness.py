"""The charts of the audit page: what is flagged is told by shape and name, not by colour alone."""

import numpy as np
import pandas as pd

from moe_core.charts import fairness as charts

CELLS = pd.DataFrame({
    "layer": [0, 0, 1, 1], "expert_id": [0, 1, 0, 1], "difference": [0.05, -0.05, 0.01, np.nan],
    "low": [0.03, -0.07, -0.01, np.nan], "high": [0.07, -0.03, 0.03, np.nan], "p_joint": [0.001, 0.002, 0.6, np.nan],
    "t": [5.0, -6.0, 1.0, np.nan], "flagged": [True, True, False, False],
})  # fmt: skip


def test_flagged_experts_are_named_diamonds_with_their_interval() -> None:
    """Two flagged ones, one that is not, one untested that is not drawn; points and interval in percentage points."""
    fig = charts.difference_by_cell(CELLS)
    plain, flagged = fig.data
    assert (plain.marker.symbol, flagged.marker.symbol) == ("circle-open", "diamond")
    assert list(flagged.y) == [5.0, -5.0]
    np.testing.assert_allclose(flagged.error_y.array, [2, 2])
    np.testing.assert_allclose(flagged.error_y.arrayminus, [2, 2])
    assert len(plain.y) == 1
    assert {a.text for a in fig.layout.annotations} == {"E0", "E1"}
    assert list(fig.layout.xaxis.ticktext) == ["L0", "L1"]
    said = charts.difference_by_cell_alt(CELLS)
    assert "3 experts" in said
    assert "2 flagged" in said
    assert "expert 1 of layer 0, -5.0 points (-7.0 to -3.0)" in said


def test_of_many_experts_the_clearest_are_drawn() -> None:
    """A model of thousands of experts keeps a chart that can be read."""
    n = 5 * charts.MOST_CELLS
    frame = pd.DataFrame({
        "layer": np.arange(n) // 50, "expert_id": np.arange(n) % 50, "difference": 0.01, "low": 0.0, "high": 0.02,
        "p_joint": 0.5, "t": np.arange(n, dtype=float), "flagged": False,
    })  # fmt: skip
    shown = charts.shown_cells(frame)
    assert len(shown) == charts.MOST_CELLS
    assert shown["t"].min() == n - charts.MOST_CELLS


def test_names_never_lie_on_top_of_each_other() -> None:
    """Neighbours on the same side of 0: the clearer one keeps its name."""
    n = 100
    frame = pd.DataFrame({
        "layer": 0, "expert_id": np.arange(n), "difference": 0.05, "low": 0.04, "high": 0.06, "p_joint": 0.001,
        "t": np.arange(n, 0.0, -1), "flagged": np.arange(n) < 3,
    })  # fmt: skip
    assert [a.text for a in charts.difference_by_cell(frame).layout.annotations] == ["E0"]


def test_layers_show_p_only_where_they_are_flagged() -> None:
    """Thousandths of a bit; a value below 0 stays in sight."""
    frame = pd.DataFrame({"layer": [0, 1], "jsd_debiased": [0.004, -0.0005], "p": [0.001, 0.7],
                          "flagged": [True, False], "documents": [40, 40]})  # fmt: skip
    fig = charts.divergence_by_layer(frame)
    assert list(fig.data[0].y) == [4.0, -0.5]
    assert list(fig.data[0].text) == ["p = 0.001", ""]
    assert list(fig.data[0].marker.symbol) == ["diamond", "circle-open"]
    assert fig.layout.yaxis.range[0] < -0.5
    assert "layer 0 with 4.00" in charts.divergence_by_layer_alt(frame)


def test_windows_that_were_not_audited_are_counted_and_not_drawn() -> None:
    """Two windows, one of them too small."""
    start = pd.to_datetime(["2026-03-01", "2026-03-02"], utc=True)
    frame = pd.DataFrame({
        "start": start, "end": start + pd.Timedelta("1D"), "documents": [50, 4], "audited": [True, False],
        "p": [0.01, np.nan], "largest_difference": [0.04, np.nan], "minimum_detectable": [0.03, np.nan],
        "flagged": [True, False],
    })  # fmt: skip
    detectable, largest = charts.difference_over_time(frame).data
    assert (list(detectable.y), list(largest.y)) == ([3.0], [4.0])
    assert list(largest.marker.symbol) == ["diamond"]
    assert charts.difference_over_time_alt(frame) == "Windows: 2; audited: 1; flagged: 1."
    assert not charts.difference_over_time(frame.iloc[1:]).data


def test_nothing_to_draw_is_said() -> None:
    """Empty frames make a figure that says why."""
    for draw, columns in ((charts.difference_by_cell, CELLS), (charts.divergence_by_layer, CELLS)):
        assert draw(columns.iloc[:0]).layout.annotations[0].text
    assert charts.difference_by_cell_alt(CELLS.iloc[3:]) == "No expert was tested"
