"""The finding and the evidence for the three sentences, by hand-computed numbers."""

import pandas as pd
import pytest

from moe_core.analysis.overview import (
    Accuracy,
    Agreement,
    Cost,
    accuracies,
    active_shares,
    agreement_by_budget,
    agreement_frame,
    cost,
    finding,
    spread,
    worst_accuracy,
    worst_agreement,
)
from moe_core.analysis.statements import (
    Statement,
    statement_cost,
    statement_focus,
    statement_rollout,
    statements,
)

EMPTY_SETTINGS = pd.DataFrame(columns=["mode", "budget", "requests", "tokens", "active_tokens", "flops", "flops_dense"])
EMPTY_HISTOGRAM = pd.DataFrame({"layer": [], "num_active": [], "tokens": []})
EMPTY_PAIRS = pd.DataFrame({"budget": [], "same": [], "n": []})


def settings_frame() -> pd.DataFrame:
    """Two adaptive settings and a dense one, which must not count."""
    return pd.DataFrame(
        {
            "mode": ["adaptive", "adaptive", "dense"],
            "budget": [0.5, 0.25, float("nan")],
            "requests": [30, 10, 40],
            "tokens": [300, 100, 400],
            "active_tokens": [150.0, 62.0, 400.0],
            "flops": [600.0, 100.0, 4000.0],
            "flops_dense": [1000.0, 400.0, 4000.0],
        }
    )


def a_cost(*, requests: int = 40, flops: float | None = 0.5) -> Cost:
    """A measured cost."""
    return Cost(requests=requests, tokens=400, expert_compute=0.53, encoder_flops=flops, budget=0.4)


def figures_of(statement: Statement) -> list[str]:
    """The figures as a reader sees them."""
    return [f"{figure.value.text()} {figure.label.text()}" for figure in statement.figures]


def test_cost_weights_by_tokens_and_leaves_dense_out() -> None:
    """212 of 400 tokens' worth of experts = 53 %; 700 of 1400 FLOPs; mean budget (30*.5 + 10*.25) / 40."""
    measured = cost(settings_frame())
    assert measured.expert_compute == pytest.approx(0.53)
    assert measured.encoder_flops == pytest.approx(0.5)
    assert measured.budget == pytest.approx(0.4375)
    assert (measured.requests, measured.tokens) == (40, 400)


def test_runs_at_thresholds_count_for_cost_and_not_for_the_mean_budget() -> None:
    """The second adaptive setting loses its budget: 700 of 1400 FLOPs stay, the mean budget is that of the first."""
    frame = settings_frame()
    frame.loc[1, "budget"] = float("nan")
    measured = cost(frame)
    assert measured.encoder_flops == pytest.approx(0.5)
    assert measured.budget == pytest.approx(0.5)
    assert cost(frame.iloc[1:2]).budget is None


def test_no_adaptive_request_is_no_cost_and_no_saving() -> None:
    """A store with dense requests only, or none, has no saving to report."""
    for frame in (EMPTY_SETTINGS, settings_frame().tail(1)):
        measured = cost(frame)
        assert measured.expert_compute is None
        assert finding(measured).text() == "No adaptive request has been recorded yet"


@pytest.mark.parametrize(
    ("share", "requests", "expected"),
    [
        pytest.param(0.53, 312, "Experts did 47% less work than the dense original over 312 requests", id="saving"),
        pytest.param(0.53, 1, "Experts did 47% less work than the dense original in one request", id="one"),
        pytest.param(
            0.998, 5, "Experts did as much work as the dense original over 5 requests", id="no saving is said as such"
        ),
    ],
)
def test_the_finding_names_saving_baseline_and_n(share: float, requests: int, expected: str) -> None:
    """The title says how much less than what over how many."""
    measured = Cost(requests=requests, tokens=1, expert_compute=share, encoder_flops=None, budget=None)
    assert finding(measured).text() == expected


def test_spread_takes_weighted_quantiles_over_all_pairs() -> None:
    """10 pairs: 1,1,2,2,2,2,3,3,8,16 -> p10 = 1, median 2, p90 = 8."""
    histogram = pd.DataFrame(
        {"layer": [0, 0, 0, 1, 1, 1], "num_active": [1, 2, 3, 2, 8, 16], "tokens": [2, 2, 2, 2, 1, 1]}
    )
    measured = spread(histogram, 16)
    assert measured is not None
    assert (measured.p10, measured.p50, measured.p90, measured.n) == (1, 2, 8, 10)
    assert measured.mean == pytest.approx(4.0)
    assert spread(EMPTY_HISTOGRAM, 16) is None


def test_active_shares_sum_to_one() -> None:
    """One row per number of experts over all layers."""
    frame = active_shares(pd.DataFrame({"layer": [0, 1], "num_active": [3, 3], "tokens": [1, 3]}))
    assert frame.to_dict("records") == [{"num_active": 3, "tokens": 4, "share": 1.0}]
    assert active_shares(EMPTY_HISTOGRAM).empty


def test_agreement_comes_per_budget_with_its_interval() -> None:
    """Dearest budget first; budgets without a pair are left out."""
    pairs = pd.DataFrame({"budget": [0.25, 0.5, 0.75], "same": [8, 10, 0], "n": [10, 10, 0]})
    measured = agreement_by_budget(pairs)
    assert [(a.budget, a.share) for a in measured] == [(0.5, 1.0), (0.25, 0.8)]
    frame = agreement_frame(measured)
    assert frame.loc[1, "low"] == pytest.approx(0.4902, abs=5e-4)
    assert agreement_by_budget(EMPTY_PAIRS) == []
    assert agreement_frame([]).empty


def test_the_worst_budget_speaks_for_the_agreement() -> None:
    """Of budgets with 30 texts the one that agrees least; with fewer, the one that rests on most texts."""
    big = [Agreement(budget=0.5, same=40, n=40), Agreement(budget=0.35, same=36, n=40)]
    small = Agreement(budget=0.25, same=1, n=5)
    assert worst_agreement([*big, small]) == big[1]
    assert worst_agreement([small, Agreement(budget=0.5, same=9, n=9)]) == Agreement(budget=0.5, same=9, n=9)
    assert worst_agreement([]) is None


def test_accuracies_need_a_dense_baseline() -> None:
    """A head that was never compared with the dense original supports nothing."""
    measured = accuracies(
        {"spam": ({"dense": 0.98, "0.5": 0.97}, 500), "odd": ({"0.5": 0.9}, 100), "none": ({"dense": 1.0, "1": 1.0}, 0)}
    )
    assert [(a.head, a.budget) for a in measured] == [("spam", 0.5)]
    assert measured[0].change == pytest.approx(-0.01)


def test_worst_accuracy_is_the_worst_head_at_the_nearest_budget() -> None:
    """At budget 0.4 the entries at 0.35 count, and of those the head that loses most."""
    measured = accuracies(
        {"a": ({"dense": 0.9, "0.5": 0.8, "0.35": 0.89}, 100), "b": ({"dense": 0.9, "0.35": 0.85}, 100)}
    )
    worst = worst_accuracy(measured, 0.4)
    assert worst is not None
    assert (worst.head, worst.budget) == ("b", 0.35)
    assert worst_accuracy(measured, None) is None


def test_sentence_one_needs_a_difference_between_tokens() -> None:
    """Unequal compute supports it; equal compute, or none measured, does not, and says what would."""
    uneven = spread(pd.DataFrame({"layer": [0, 0], "num_active": [2, 11], "tokens": [50, 50]}), 16)
    even = spread(pd.DataFrame({"layer": [0], "num_active": [16], "tokens": [50]}), 16)
    supported = statement_focus(uneven)
    assert figures_of(supported) == ["2 to 11 of 16 experts run for a token in a layer"]
    assert "n = 100" in supported.evidence.text()
    for missing in (statement_focus(even), statement_focus(None)):
        assert not missing.supported
        assert missing.next_step is not None


def test_sentence_two_needs_cost_and_quality() -> None:
    """Cost alone is reported as cost alone; the sentence waits for the comparison with dense."""
    alone = statement_cost(a_cost(), None, None)
    assert not alone.supported
    assert "50%" in alone.evidence.text()
    assert not statement_cost(a_cost(flops=None), Agreement(budget=0.35, same=40, n=40), None).supported
    full = statement_cost(a_cost(), Agreement(budget=0.35, same=39, n=40), None)
    assert figures_of(full) == ["50% of the dense original's FLOPs", "97.5% of the answers are the same"]
    assert "n = 40 requests" in full.evidence.text()


def test_sentence_two_takes_the_model_card_where_the_log_has_too_few_pairs() -> None:
    """3 pairs do not beat 500 held-out texts; 30 pairs of the visitor's own log do."""
    card = Accuracy(head="spam", budget=0.35, accuracy=0.977, dense=0.98, n=500)
    few = statement_cost(a_cost(), Agreement(budget=0.35, same=3, n=3), card)
    assert figures_of(few)[1] == "-0.3 points of accuracy"
    enough = statement_cost(a_cost(), Agreement(budget=0.35, same=30, n=30), card)
    assert figures_of(enough)[1] == "100.0% of the answers are the same"


def test_sentence_three_needs_two_steps() -> None:
    """Two budgets with enough pairs support it; one does not."""
    one = [Agreement(budget=0.5, same=40, n=40)]
    two = [*one, Agreement(budget=0.35, same=36, n=40)]
    assert not statement_rollout(one, []).supported
    result = statement_rollout(two, [])
    assert figures_of(result) == [
        "2 budgets compared with the dense original",
        "≥ 90.0% of the answers are the same in every step",
    ]
    assert "n = 40" in result.evidence.text()
    card = accuracies({"spam": ({"dense": 0.98, "0.5": 0.98, "0.25": 0.96}, 500)})
    assert figures_of(statement_rollout([], card)) == [
        "2 budgets compared with the dense original",
        "-2.0 points of accuracy in the worst step",
    ]


def test_without_a_measurement_no_sentence_is_supported() -> None:
    """An empty store supports nothing, and each sentence says what would support it."""
    result = statements(cost(EMPTY_SETTINGS), None, [], [])
    assert [s.key for s in result] == ["focus", "cost", "rollout"]
    assert not any(s.supported for s in result)
    assert all(s.next_step is not None and s.next_step.text() for s in result)


def test_running_requests_again_is_part_of_their_cost() -> None:
    """10 tokens at half the experts, 2 of them again by the dense original: (5 + 2) / 10, and 500 + 200 of 1,000."""
    rows = pd.DataFrame(
        {
            "mode": ["adaptive", "dense"],
            "budget": [0.5, None],
            "second_pass": [False, True],
            "requests": [5, 1],
            "tokens": [10, 2],
            "active_tokens": [5.0, 2.0],
            "flops": [500, 200],
            "flops_dense": [1000, 200],
        }
    )
    measured = cost(rows)
    assert (measured.requests, measured.tokens) == (5, 10)
    assert measured.expert_compute == pytest.approx(0.7)
    assert measured.encoder_flops == pytest.approx(0.7)
