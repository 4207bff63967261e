"""Load, gate, place, hours and shares of one expert, on frames that are counted by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moe_core.analysis.expert_card.domains import COLD, FEW, NEVER, USUAL, expert_domains
from moe_core.analysis.expert_card.shares import clustered_share
from moe_core.analysis.expert_card.usage import by_hour, usage

LOAD = pd.DataFrame(
    [(0, 0, 60, 30.0, 1, 2, 5), (0, 1, 30, 30.0, 0, 0, 0), (0, 2, 10, 5.0, 0, 0, 1), (0, 3, 0, 0.0, 0, 0, 0)],
    columns=["layer", "expert_id", "n", "gate_sum", "floor_n", "failover_n", "n_runner_up"],
).assign(mean_margin=0.1, prob_sum=0.0)
TOKENS = pd.DataFrame({"layer": [0], "tokens": [80]})
EXPERTS = pd.DataFrame(
    # two domains, one half: sums over documents of c, c^2, c n
    [("law", 0, 0, 0, 6, 50, 430, 450), ("mail", 0, 0, 0, 5, 10, 20, 60), ("law", 0, 0, 2, 4, 10, 30, 90)],
    columns=["domain", "half", "layer", "expert_id", "documents", "c", "cc", "cn"],
)
LAYERS = pd.DataFrame(
    [("law", 0, 0, 6, 50, 450), ("mail", 0, 0, 5, 30, 180)],
    columns=["domain", "half", "layer", "documents", "n", "nn"],
)


def test_every_number_of_the_busiest_expert_is_the_hand_count() -> None:
    """60 of 80 tokens, 60 of 100 runs, 30 of 65 gate mass; 1 floor, 2 failovers, 5 near misses."""
    use = usage(LOAD, TOKENS, EXPERTS, LAYERS, 0, 0)
    assert (use.n, use.tokens, use.documents, use.place, use.n_experts) == (60, 80, 11, 1, 4)
    assert use.share == 0.75
    assert use.share_of_runs == 0.6
    assert use.over_equal == pytest.approx(2.4)
    assert use.mean_gate == 0.5
    assert use.gate_share == pytest.approx(30 / 65)
    assert use.gate_place == 1
    assert (use.floor_n, use.failover_n, use.runner_up_n) == (1, 2, 5)
    assert not use.cold
    assert not use.dead


def test_an_expert_that_never_ran_is_dead_with_its_n_and_an_upper_bound() -> None:
    """0 of 80 tokens; the bound counts documents of equal size, not tokens: 3 / (80^2 / 630)."""
    use = usage(LOAD, TOKENS, EXPERTS, LAYERS, 0, 3)
    assert (use.n, use.tokens, use.place, use.dead) == (0, 80, 4, True)
    assert (use.low, use.high) == (0.0, pytest.approx(3 / (6400 / 630)))
    assert use.gate_share == 0


def test_a_share_says_as_much_as_its_documents() -> None:
    """The interval against the formula written out document by document, and wider than that of single tokens."""
    c, n = np.array([9, 1, 8, 2, 7, 3.0]), np.full(6, 10.0)
    share, low, high = clustered_share(c.sum(), n.sum(), 6, (c**2).sum(), (c * n).sum(), (n**2).sum())
    spread = 2.5706 * math.sqrt(6 / 5 * ((c - share * n) ** 2).sum()) / n.sum()
    assert share == 0.5
    assert low == pytest.approx(share - spread, abs=1e-3)
    assert high == pytest.approx(share + spread, abs=1e-3)
    assert high - low > 2 * 1.96 * math.sqrt(0.25 / 60)


def test_few_documents_carry_no_interval() -> None:
    """Four documents: a number, but nothing that looks like certainty."""
    share, low, high = clustered_share(4, 8, 4, 4, 8, 16)
    assert share == 0.5
    assert math.isnan(low)
    assert math.isnan(high)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=5, max_size=30))
def test_an_interval_holds_its_share_and_stays_within_0_and_1(rows: list[tuple[int, int]]) -> None:
    """Whatever the documents are."""
    c, n = np.array([[min(a, b), b] for a, b in rows], float).T
    share, low, high = clustered_share(c.sum(), n.sum(), len(rows), (c * c).sum(), (c * n).sum(), (n * n).sum())
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


def test_hours_are_parts_of_the_layers_runs() -> None:
    """First hour 6 of 10 runs, second 0 of 5, with three experts seen in the layer."""
    first, second = pd.Timestamp("2026-01-01 10:00"), pd.Timestamp("2026-01-01 11:00")
    load = pd.DataFrame(
        [(first, 0, 0, 6, 3.0), (first, 0, 1, 4, 4.0), (second, 0, 2, 5, 5.0), (first, 1, 0, 9, 9.0)],
        columns=["hour", "layer", "expert_id", "n", "gate_sum"],
    )
    hours = by_hour(load, 0, 0)
    assert list(hours["n"]) == [6, 0]
    assert list(hours["layer_n"]) == [10, 5]
    assert list(hours["over_equal"]) == [pytest.approx(1.8), 0.0]
    assert hours["mean_gate"].iloc[0] == 0.5
    assert math.isnan(hours["mean_gate"].iloc[1])


def domains_of(c_by_domain: dict[str, list[int]], n: int = 40) -> pd.DataFrame:
    """Domains of documents of `n` tokens each, split evenly into halves, for expert 0 of 2 in layer 0."""
    experts, layers = [], []
    for name, counts in c_by_domain.items():
        for half in (0, 1):
            c = np.array(counts[half::2], float)
            layers.append((name, half, 0, len(c), n * len(c), n * n * len(c)))
            experts.append((name, half, 0, 0, int((c > 0).sum()), c.sum(), (c * c).sum(), (c * n).sum()))
            experts.append((name, half, 0, 1, len(c), n * len(c), n * n * len(c), n * n * len(c)))
    return expert_domains(
        pd.DataFrame(experts, columns=list(EXPERTS.columns)), pd.DataFrame(layers, columns=list(LAYERS.columns)),
        1, 2, 0, 0,
    )  # fmt: skip


def test_busy_cold_never_and_too_few_are_told_apart() -> None:
    """Cold is a share below a tenth of the overall one; never names its n; 4 documents are too few to say."""
    found = domains_of({
        "busy": [30, 32, 31, 29] * 6, "usual": [11, 12, 10, 9] * 6, "cold": [1, 0, 0, 1, 0, 0] * 4,
        "never": [0] * 24, "few": [0, 1, 0, 1],
    }).set_index("domain")  # fmt: skip
    assert found["state"].to_dict() == {"busy": "busy", "usual": USUAL, "cold": COLD, "never": NEVER, "few": FEW}
    assert (found.loc["never", "runs"], found.loc["never", "n"], found.loc["never", "documents"]) == (0, 960, 24)
    assert found.loc["busy", "share"] == pytest.approx(30.5 / 40)
    assert found.index[0] == "busy"
    assert bool(found.loc["busy", "confirmed"])


def test_a_run_without_domains_has_no_domain_rows() -> None:
    """Nothing is made up."""
    nobody = LAYERS.assign(domain=None)
    assert expert_domains(EXPERTS.assign(domain=None), nobody, 1, 4, 0, 0).empty
