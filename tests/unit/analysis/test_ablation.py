"""What breaks without an expert: counts written by hand, and the interval against the plain formula."""

import math
from typing import Any

import numpy as np
import pytest

from moe_core.analysis.ablation import ablation_of
from moe_core.analysis.paired import mean_change, paired_difference


def table(value: float, own: float) -> list[list[float]]:
    """One layer of six experts: `own` for expert 0, `value` for all others."""
    return [[own, *[value] * 5]]


def document(**own: float) -> dict[str, Any]:
    """100 texts of one task; five experts with nearly the load of expert 0."""
    tables = {
        "same_gained": table(0, 1), "same_lost": table(0, own.get("lost", 5)), "right_gained": table(0, 0),
        "right_lost": table(0, 2), "moved_sum": table(-10, own.get("moved", -200)),
        "moved_squares": table(100, own.get("squares", 1000)),
    }  # fmt: skip
    load = [[100, 99, 101, 90, 110, own.get("last", 120)]]
    task = {"name": "mood", "n": 100, "n_tokens": 900, "load_LE": load, "mean": tables, "failover": tables}
    return {"n_layers": 1, "n_experts": 6, "budget": 0.5, "tasks": [task]}


def test_changes_are_those_counted() -> None:
    """5 agreements lost and 1 gained of 100 texts: -4 points; -200 points of probability over 100 texts: -2."""
    found = ablation_of(document(), 0, 0)
    assert found is not None
    row = found.tasks.iloc[0]
    assert (row["agreement"], row["accuracy"], row["n"]) == (-4.0, -2.0, 100)
    assert row["agreement_low"] < -4 < row["agreement_high"]
    spread = 1.96 * math.sqrt((1000 - 100 * 4) / 99 / 100)
    assert found.moved == -2
    assert found.low == pytest.approx(-2 - spread, abs=1e-4)
    assert (found.worse_than, len(found.controls)) == (5, 5)
    assert "more than 5 of 5 equally loaded" in found.finding.text()
    assert "n = 100" in found.finding.text()


def test_an_expert_of_another_load_is_no_control() -> None:
    """Beyond a factor of two it is not equally loaded."""
    found = ablation_of(document(last=201), 0, 0)
    assert found is not None
    assert sorted(found.controls["expert_id"]) == [1, 2, 3, 4]


def test_a_change_within_its_interval_is_not_called_a_loss() -> None:
    """The sentence says that chance explains it, whatever the rank."""
    found = ablation_of(document(moved=-20, squares=40_000), 0, 0)
    assert found is not None
    assert found.low < 0 < found.high
    assert "no change can be told from chance" in found.finding.text()


def test_an_expert_that_was_not_measured_has_no_figures() -> None:
    """Nothing is invented for another layer, or for an empty document."""
    assert ablation_of(document(), 1, 0) is None
    assert ablation_of({"n_layers": 1, "n_experts": 6, "tasks": []}, 0, 0) is None


def test_paired_counts_are_the_intervals_of_the_texts_themselves() -> None:
    """Mean and interval from sums equal those from the single values."""
    values = np.random.default_rng(0).normal(1, 2, 50)
    mean, low, high = mean_change(values.sum(), (values**2).sum(), 50)
    half = 1.959964 * values.std(ddof=1) / math.sqrt(50)
    assert (mean, low, high) == (pytest.approx(values.mean()), pytest.approx(mean - half), pytest.approx(mean + half))
    assert paired_difference(0, 0, 0) == (0.0, -100.0, 100.0)
