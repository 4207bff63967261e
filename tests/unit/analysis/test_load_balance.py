"""Load balance by hand-computed numbers."""

import math

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.load_balance import (
    coefficient_of_variation,
    expert_balance,
    gini,
    layer_balance,
    max_over_mean,
    normalised_entropy,
    summarise,
)


def load_frame(counts: dict[int, list[int]], gates: dict[int, list[float]] | None = None) -> pd.DataFrame:
    """One row per expert, as the log's query gives it."""
    rows = []
    for layer, row in counts.items():
        for expert_id, n in enumerate(row):
            gate_sum = float(n) if gates is None else gates[layer][expert_id]
            rows.append({"layer": layer, "expert_id": expert_id, "n": n, "gate_sum": gate_sum, "mean_margin": 0.1})
    return pd.DataFrame(rows)


def tokens_frame(tokens: dict[int, int]) -> pd.DataFrame:
    """One row per layer."""
    return pd.DataFrame({"layer": list(tokens), "tokens": list(tokens.values())})


EQUAL = np.array([5.0, 5.0, 5.0, 5.0])
ALL_ON_ONE = np.array([20.0, 0.0, 0.0, 0.0])
MIXED = np.array([1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(EQUAL, 0.0, id="equal"),
        pytest.param(ALL_ON_ONE, 0.75, id="one expert takes all: (E-1)/E"),
        # sum over ordered pairs |xi-xj| = 2*(1+2+3+1+2+1) = 20; 20 / (2 * 16 * 2.5) = 0.25
        pytest.param(MIXED, 0.25, id="1 2 3 4"),
        pytest.param(np.zeros(4), 0.0, id="nothing counted"),
    ],
)
def test_gini_is_the_mean_difference_over_twice_the_mean(values: np.ndarray, expected: float) -> None:
    """Gini equals the hand-computed value, and does not depend on the order of the experts."""
    assert gini(values) == pytest.approx(expected)
    assert gini(values[::-1].copy()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(EQUAL, 1.0, id="equal"),
        pytest.param(ALL_ON_ONE, 0.0, id="one expert takes all"),
        pytest.param(np.array([1.0, 1.0, 0.0, 0.0]), 0.5, id="half of the experts: ln 2 / ln 4"),
        pytest.param(np.array([7.0]), 1.0, id="single expert"),
        pytest.param(np.zeros(4), 0.0, id="nothing counted"),
    ],
)
def test_entropy_is_normalised_by_the_number_of_experts(values: np.ndarray, expected: float) -> None:
    """Normalised entropy is 1 for equal load and 0 where one expert takes all."""
    assert normalised_entropy(values) == pytest.approx(expected)


def test_cv_and_max_over_mean_use_all_experts() -> None:
    """For 1, 2, 3, 4 the mean is 2.5, the population deviation sqrt(1.25), the maximum 4."""
    assert coefficient_of_variation(MIXED) == pytest.approx(math.sqrt(1.25) / 2.5)
    assert max_over_mean(MIXED) == pytest.approx(1.6)
    assert coefficient_of_variation(np.zeros(3)) == 0.0
    assert max_over_mean(np.zeros(3)) == 0.0


def test_expert_balance_gives_share_load_over_ideal_and_rate() -> None:
    """Shares are of the layer's own assignments, rates of its own tokens; layers are never pooled."""
    experts = expert_balance(load_frame({0: [30, 10], 1: [5, 5]}), tokens_frame({0: 32, 1: 10}))
    assert experts["share"].tolist() == pytest.approx([0.75, 0.25, 0.5, 0.5])
    assert experts["load_over_ideal"].tolist() == pytest.approx([1.5, 0.5, 1.0, 1.0])
    assert experts["selection_rate"].tolist() == pytest.approx([30 / 32, 10 / 32, 0.5, 0.5])


def test_gate_mass_stands_beside_assignments() -> None:
    """Equal assignments with unequal gate weights: load / ideal is 1, gate mass / ideal is not."""
    experts = expert_balance(load_frame({0: [10, 10]}, {0: [9.0, 1.0]}), tokens_frame({0: 10}))
    assert experts["load_over_ideal"].tolist() == pytest.approx([1.0, 1.0])
    assert experts["gate_over_ideal"].tolist() == pytest.approx([1.8, 0.2])
    assert experts["mean_gate"].tolist() == pytest.approx([0.9, 0.1])


def test_cold_and_dead_are_told_apart_and_dead_carries_its_bound() -> None:
    """Below a tenth of the equal share is cold; 0 of 300 tokens is dead with an upper bound of 1 %."""
    counts = [1000, 1000, 1000, 1000, 0, 30]
    experts = expert_balance(load_frame({0: counts}), tokens_frame({0: 300}))
    assert experts["status"].tolist() == ["normal"] * 4 + ["dead", "cold"]
    assert experts.loc[4, "selection_rate_upper"] == pytest.approx(0.01)
    assert experts["selection_rate_upper"].isna().tolist() == [True] * 4 + [False, True]


def test_an_expert_at_exactly_a_tenth_is_not_cold() -> None:
    """The border belongs to the normal experts: 1 of 10 shares over 10 experts, less is cold."""
    counts = [11, 11, 11, 11, 11, 11, 11, 11, 11, 1]  # mean 10, a tenth of it is 1
    experts = expert_balance(load_frame({0: counts}), tokens_frame({0: 100}))
    assert experts["status"].iloc[-1] == "normal"


def test_layer_balance_row_by_hand() -> None:
    """One layer with loads 1, 2, 3, 4 over 5 tokens."""
    layers = layer_balance(expert_balance(load_frame({2: [1, 2, 3, 4]}), tokens_frame({2: 5})))
    row = layers.iloc[0]
    assert row["layer"] == 2
    assert row["tokens"] == 5
    assert row["assignments"] == 10
    assert row["experts_per_token"] == pytest.approx(2.0)
    assert row["load_gini"] == pytest.approx(0.25)
    assert row["load_imbalance"] == pytest.approx(1.6)
    assert row["max_vio"] == pytest.approx(0.6)
    assert row["busiest_expert"] == 3
    assert row["dead_experts"] == 0
    assert row["dead_rate_upper"] == pytest.approx(0.6)


def test_a_layer_without_assignment_has_no_number_that_is_not_finite() -> None:
    """A layer of which nothing was recorded gives zeros, never a division by zero."""
    layers = layer_balance(expert_balance(load_frame({0: [0, 0]}), tokens_frame({0: 0})))
    numbers = layers.drop(columns=["layer"]).to_numpy(dtype=float)
    assert np.isfinite(numbers).all()
    assert layers.iloc[0]["dead_rate_upper"] == 1.0


def test_the_finding_names_the_busiest_expert_and_the_unused_ones() -> None:
    """The title's numbers are those of the worst layer, and dead is said with its sample size."""
    experts = expert_balance(load_frame({0: [5, 5], 1: [10, 0]}), tokens_frame({0: 10, 1: 10}))
    summary = summarise(experts, layer_balance(experts))
    assert summary is not None
    assert (summary.worst_layer, summary.worst_expert, summary.dead) == (1, 0, 1)
    assert summary.finding.text() == "Busiest expert: 2.0× its equal share; 1 unused in 10 tokens"


def test_no_finding_without_a_decision() -> None:
    """An empty selection has no summary, so a page must show its empty state."""
    experts = expert_balance(load_frame({0: [0, 0]}), tokens_frame({0: 0}))
    assert summarise(experts, layer_balance(experts)) is None
