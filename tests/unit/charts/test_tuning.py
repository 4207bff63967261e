"""The charts of the tuning page: where names stand."""

import pytest

from moe_core.charts import tuning as charts


def test_names_of_lines_that_end_close_together_are_moved_apart() -> None:
    """Upwards only, as little as it takes, whatever the order; far ones stay."""
    assert charts.apart([0.58, 0.57, 1.0], 0.08) == pytest.approx([0.65, 0.57, 1.0])
    assert charts.apart([0.5, 0.5, 0.5], 0.1) == pytest.approx([0.5, 0.6, 0.7])
    assert charts.apart([], 0.1) == []


def test_no_name_stands_on_the_line_of_dense() -> None:
    """Names below the line are moved down, those on it or above up; far ones stay."""
    assert charts.beside_line([0.95, 0.92, 1.02, 1.5, 0.5], 1.0, 0.08) == pytest.approx([0.92, 0.84, 1.08, 1.5, 0.5])
