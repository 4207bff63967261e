"""Escalation figures on leads and labels made up by hand."""

import numpy as np
import pytest
import torch

from moe_core.evaluation.arms import Embedded
from moe_core.evaluation.escalation import SHARES, affordable, at_flops, sweep
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.evaluation.quality import DENSE
from moe_core.model.heads import Head, HeadCard

N = 400


def side(values: np.ndarray, flops: np.ndarray | int) -> Embedded:
    """One number a text; the head's lead grows with its size, its sign is the label."""
    rows = np.stack([values, -values], axis=1).astype(np.float32)
    each = np.broadcast_to(np.asarray(flops, dtype=np.int64), (N,)).copy()
    return Embedded(rows, each, np.full(N, 100, dtype=np.int64), np.ones((1, 2), dtype=np.int64), 2)


@pytest.fixture
def rows() -> list[dict[str, float]]:
    """The original is always right. The sparse model is wrong exactly where its lead is smallest: the lowest tenth."""
    rng = np.random.default_rng(0)
    size = rng.permutation(np.linspace(0.01, 1, N))
    sign = np.where(rng.random(N) < 0.5, 1.0, -1.0)
    wrong = size <= np.quantile(size, 0.1)
    data = LabelledTexts(["t"] * N, ["p" if s > 0 else "n" for s in sign], [""] * N)
    sides = {
        DENSE: side(size * sign, 100),
        ("adaptive", 1.0): side(size * sign, 110),
        ("adaptive", 0.25): side(np.where(wrong, -sign, sign) * size, 40),
    }
    head = Head(HeadCard(name="x", labels=["p", "n"]), torch.eye(2), torch.zeros(2))
    return sweep("t", head, data, sides, (0.25,))


def test_running_the_doubtful_fifth_again_repairs_all_and_costs_a_fifth_of_dense(rows: list[dict[str, float]]) -> None:
    """40 + 20 % of 100 = 60 % of the FLOPs; every wrong answer was among the doubtful ones."""
    row = next(row for row in rows if row["asked_share"] == 0.2)
    assert row["n"] == N
    assert row["escalated_share"] == pytest.approx(0.2, abs=0.06)
    assert row["flops_ratio"] == pytest.approx(0.4 + row["escalated_share"])
    assert row["without_delta_points"] == pytest.approx(-10, abs=4)
    assert row["delta_points"] == 0
    assert row["hardest_tenth_n"] == N // 10
    assert row["changed_share"] == 0
    assert row["hardest_tenth_without"] < -70
    assert row["hardest_tenth_delta_points"] == 0


def test_no_text_has_a_say_in_the_lead_that_it_is_judged_by(rows: list[dict[str, float]]) -> None:
    """With 3 % run again, the wrong tenth is repaired in part, and what is left of it is what still differs from the
    original."""
    row = next(row for row in rows if row["asked_share"] == 0.03)
    assert row["changed_share"] == pytest.approx(-row["delta_points"] / 100)
    assert row["changed_share"] == pytest.approx(0.1 - row["escalated_share"], abs=0.01)


def test_more_runs_cost_more_and_never_lose_here(rows: list[dict[str, float]]) -> None:
    """One row a share, in order; points rise with the cost."""
    assert [row["asked_share"] for row in rows] == list(SHARES)
    assert sorted(row["flops_ratio"] for row in rows) == [row["flops_ratio"] for row in rows]
    assert sorted(row["delta_points"] for row in rows) == [row["delta_points"] for row in rows]


def test_long_texts_that_run_again_cost_what_they_cost() -> None:
    """Half of the texts are ten times as long, and only those are in doubt: the share of FLOPs is not the share of
    texts."""
    long = np.arange(N) % 2 == 0
    size = np.where(long, np.linspace(0.01, 0.1, N), np.linspace(0.5, 1, N))
    full = np.where(long, 1000, 100)
    dense, cheap = side(size, full), side(size, full // 10)
    dense, cheap = (Embedded(s.embeddings_ND, s.flops_N, full, s.counts_LE, 2) for s in (dense, cheap))
    head = Head(HeadCard(name="x", labels=["p", "n"]), torch.eye(2), torch.zeros(2))
    data = LabelledTexts(["t"] * N, ["p"] * N, [""] * N)
    row = sweep("t", head, data, {DENSE: dense, ("adaptive", 0.25): cheap}, (0.25,))[-1]
    assert row["escalated_share"] < 0.4
    assert row["flops_ratio"] - 0.1 > 1.5 * row["escalated_share"]


def test_the_plain_model_is_compared_at_the_same_flops() -> None:
    """Half way between two measured points: half way in points; outside: the nearest point, with its own FLOPs."""
    plain = [(0.4, 0.25, -2.0), (0.6, 0.5, -1.0)]
    assert at_flops(plain, 0.5) == pytest.approx((0.5, 0.375, -1.5))
    assert at_flops(plain, 0.3) == (0.4, 0.25, -2.0)
    assert at_flops(plain, 0.9) == (0.6, 0.5, -1.0)


def test_a_share_is_affordable_while_the_second_passes_fit_in_what_is_left() -> None:
    """First passes cost 4 x 10, at most 4 x 30 may be spent: 80 are left, the two smallest leads cost 50 and 30."""
    most, base = np.full(4, 30), np.full(4, 10)
    leads = np.array([0.1, 0.9, 0.2, 0.8])
    assert affordable(most, base, np.array([50, 1, 30, 1]), leads) == 0.5
    assert affordable(most, base, np.array([50, 1, 31, 1]), leads) == 0.25
    assert affordable(base, base, np.array([50, 1, 31, 1]), leads) == 0


def test_one_row_spends_what_the_plain_model_spends_at_the_matched_budget() -> None:
    """25 first, 100 again, 45 in the plain model at .35: a fifth of the texts runs again."""
    rng = np.random.default_rng(1)
    values = rng.permutation(np.linspace(0.01, 1, N))
    head = Head(HeadCard(name="x", labels=["p", "n"]), torch.eye(2), torch.zeros(2))
    data = LabelledTexts(["t"] * N, ["p"] * N, [""] * N)
    sides = {DENSE: side(values, 100), ("adaptive", 0.35): side(values, 45), ("adaptive", 0.15): side(values, 25)}
    rows = sweep("t", head, data, sides, (0.15,))
    (row,) = [row for row in rows if row["same_cost_as"] is not None]
    assert (row["same_cost_as"], row["asked_share"]) == (0.35, 0.2)
    assert row["flops_ratio"] == pytest.approx(0.45, abs=0.03)
