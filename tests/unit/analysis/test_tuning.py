"""What a budget buys, by hand."""

from typing import Any

import pytest

from moe_core.analysis import tuning


def point(rule: str, budget: float, flops: float, delta: float) -> dict[str, Any]:
    return {"rule": rule, "budget": budget, "active_fraction": budget, "flops_ratio": flops, "accuracy": 0.8,
            "delta_points": delta, "delta_low": delta - 1, "delta_high": delta + 1, "agreement": 0.9, "cosine": 0.9,
            "ece": 0.02}  # fmt: skip


DOCUMENT: dict[str, Any] = {
    "made": "2026-11-24T10:00:00Z",
    "machine": "a machine",
    "tasks": [
        {"name": "sentiment", "n": 100, "points": [point("adaptive", 0.5, 0.6, 0.0), point("adaptive", 0.25, 0.4, -0.6),
                                                   point("topk", 0.25, 0.4, -3.0)]},
        {"name": "spam", "n": 50, "points": [point("adaptive", 0.5, 0.6, 0.2), point("adaptive", 0.25, 0.4, -0.2),
                                             point("topk", 0.25, 0.4, -1.0)]},
    ],
    "unseen": [{"name": "other", "kind": "unseen", "n": 10, "points": [point("adaptive", 0.25, 0.4, -9.0)]}],
    "layers": [{"budget": 0.5, "layer": 0, "active_fraction": 0.4}],
    "load": [{"budget": 0.5, "busiest_ratio": 3.0, "dead": 0, "cold": 1}],
}  # fmt: skip


def test_means_count_each_shipped_task_alike_and_leave_unseen_tasks_out() -> None:
    """Budget .25: (-0.6 - 0.2) / 2; the worst is sentiment."""
    means = tuning.mean_quality(tuning.measurements(DOCUMENT).quality)
    row = means[(means["rule"] == "adaptive") & (means["budget"] == 0.25)].iloc[0]
    assert row["delta"] == pytest.approx(-0.4)
    assert (row["worst"], row["worst_task"], row["tasks"]) == (-0.6, "sentiment", 2)


def test_the_finding_names_the_cheapest_setting_within_the_bound() -> None:
    """At .5 points the budget .25 is allowed, at .3 only .5, at -1 none."""
    means = tuning.mean_quality(tuning.measurements(DOCUMENT).quality)
    assert tuning.finding(means, 0.5).params["budget"] == 0.25
    assert tuning.finding(means, 0.3).params["budget"] == 0.5
    assert "No measured budget" in tuning.finding(means, -1).text()
    assert "Nothing was measured" in tuning.finding(means.iloc[:0], 0.5).text()


def test_a_mean_of_two_tasks_has_a_narrower_interval_than_each() -> None:
    """Two independent estimates with +- 1: +- 1 / sqrt(2); one task keeps its own."""
    measured = tuning.measurements(DOCUMENT)
    alone = tuning.of_task(measured.quality, "spam")
    assert (alone["high"] - alone["low"]).tolist() == [2, 2, 2]
    mean = tuning.of_task(measured.quality, tuning.ALL_TASKS)
    assert (mean["high"] - mean["delta"]).tolist() == pytest.approx([2**-0.5] * 3)
    assert (mean["delta"] - mean["low"]).tolist() == pytest.approx([2**-0.5] * 3)
    assert mean["n"].unique().tolist() == [150]


def test_a_kind_of_one_text_does_not_head_the_list_unless_all_are_small() -> None:
    """20 texts are a kind, one is not; where no kind has 20, all are shown."""
    by_domain = {"mail": [0.3, 0.95, 20.0], "odd": [0.2, 0.8, 1.0]}
    assert tuning.domains_at({"points": [{"budget": 0.5, "by_domain": by_domain}]}, 0.5)["domain"].tolist() == ["mail"]
    del by_domain["mail"]
    assert tuning.domains_at({"points": [{"budget": 0.5, "by_domain": by_domain}]}, 0.5)["domain"].tolist() == ["odd"]


def test_domains_come_from_the_nearest_measured_point_worst_first() -> None:
    """Asked .3, measured at .25 and .5."""
    dial = {"points": [{"budget": 0.25, "by_domain": {"mail": [0.3, 0.95, 20.0], "sms": [0.2, 0.9, 30.0]}},
                       {"budget": 0.5, "by_domain": {"mail": [0.5, 0.99, 20.0]}}]}  # fmt: skip
    frame = tuning.domains_at(dial, 0.3)
    assert frame["domain"].tolist() == ["sms", "mail"]
    assert frame["n"].tolist() == [30, 20]


@pytest.mark.parametrize("broken", [{}, {"tasks": [{}]}, {"tasks": [{"name": "a", "n": "x", "points": [{}]}]}])
def test_another_document_is_not_taken_for_measurements(broken: dict[str, Any]) -> None:
    """The page turns this into one sentence."""
    with pytest.raises((KeyError, ValueError, TypeError)):
        tuning.measurements(broken)
