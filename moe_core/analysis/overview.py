"""What the log says as a whole: cost, agreement, accuracy and spread, and the finding for the title.

Every number names its baseline (the dense original) and its n.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from moe_core.analysis.interval import wilson
from moe_core.analysis.message import N_, Message

ADAPTIVE = "adaptive"
DENSE = "dense"
MIN_PAIRS = 30  # fewer text pairs than this say too little to support a sentence
SAME_BELOW = 0.005  # a change below half a percent is called none


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Cost of adaptive requests against the dense original. Ratios are None where there is no request."""

    requests: int
    tokens: int
    expert_compute: float | None
    encoder_flops: float | None
    budget: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How many of n texts got the same label from both models: the same text in adaptive and in dense mode."""

    budget: float
    same: int
    n: int

    @property
    def share(self) -> float:
        return self.same / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the share."""
        return wilson(self.same, self.n)


@dataclass(frozen=True, kw_only=True, slots=True)
class Accuracy:
    """A head's accuracy on n held-out texts at one budget, beside that of the dense original (model card)."""

    head: str
    budget: float
    accuracy: float
    dense: float
    n: int

    @property
    def change(self) -> float:
        """Adaptive minus dense, in points (0.01 = one point)."""
        return self.accuracy - self.dense

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the adaptive accuracy."""
        return wilson(round(self.accuracy * self.n), self.n)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How differently tokens are treated: experts used per (token, layer), weighted quantiles."""

    p10: int
    p50: int
    p90: int
    mean: float
    n: int
    n_experts: int


def cost(by_setting: pd.DataFrame) -> Cost:
    """by_setting (mode, budget, second_pass, requests, tokens, active_tokens, flops, flops_dense) one row per setting
    or finer; second_pass may be missing (none then).

    active_tokens = sum of n_tokens x active_fraction. Adaptive requests count; what escalation spent on running some
    of them again, in any mode, is added to their cost and to nothing else. `budget` of the result is the mean
    budget asked for, over the requests that asked for one (a run at thresholds has none).
    """
    second = by_setting["second_pass"] if "second_pass" in by_setting else pd.Series(False, index=by_setting.index)
    again = by_setting[second.astype(bool)]
    rows = by_setting[(by_setting["mode"] == ADAPTIVE) & ~second.astype(bool)] if len(by_setting) else by_setting
    requests = int(rows["requests"].sum()) if len(rows) else 0
    if requests == 0:
        return Cost(requests=0, tokens=0, expert_compute=None, encoder_flops=None, budget=None)
    tokens, dense = int(rows["tokens"].sum()), float(rows["flops_dense"].sum())
    asked = rows[rows["budget"].notna()]
    budgets, weights = asked["budget"], asked["requests"]
    return Cost(
        requests=requests,
        tokens=tokens,
        expert_compute=float(rows["active_tokens"].sum() + again["active_tokens"].sum()) / tokens if tokens else None,
        encoder_flops=float(rows["flops"].sum() + again["flops"].sum()) / dense if dense else None,
        budget=float((budgets * weights).sum()) / int(weights.sum()) if len(asked) else None,
    )


def finding(measured: Cost) -> Message:
    """The sentence for the overview's title, from the cost of the adaptive requests."""
    n = measured.requests
    if measured.expert_compute is None:
        return Message(N_("No adaptive request has been recorded yet"))
    saving = 1.0 - measured.expert_compute
    if abs(saving) < SAME_BELOW:
        return Message(N_("Experts did as much work as the dense original over {n:,} requests"), {"n": n})
    if n == 1:
        return Message(
            N_("Experts did {saving:.0%} less work than the dense original in one request"), {"saving": saving}
        )
    return Message(
        N_("Experts did {saving:.0%} less work than the dense original over {n:,} requests"),
        {"saving": saving, "n": n},
    )


def spread(histogram: pd.DataFrame, n_experts: int) -> Spread | None:
    """histogram (layer, num_active, tokens) -> quantiles over all (token, layer) pairs; None where empty."""
    counts = histogram.groupby("num_active")["tokens"].sum().sort_index() if len(histogram) else pd.Series(dtype=float)
    n = int(counts.sum())
    if n == 0:
        return None
    values = counts.index.to_numpy()
    cumulative = np.cumsum(counts.to_numpy()) / n

    def quantile(q: float) -> int:
        return int(values[int(np.searchsorted(cumulative, q - 1e-12))])

    return Spread(
        p10=quantile(0.1),
        p50=quantile(0.5),
        p90=quantile(0.9),
        mean=float((values * counts.to_numpy()).sum() / n),
        n=n,
        n_experts=n_experts,
    )


def active_shares(histogram: pd.DataFrame) -> pd.DataFrame:
    """histogram (layer, num_active, tokens) -> (num_active, tokens, share) one row per number of experts."""
    if histogram.empty:
        return pd.DataFrame({"num_active": [], "tokens": [], "share": []})
    frame = histogram.groupby("num_active", as_index=False)["tokens"].sum().sort_values("num_active", ignore_index=True)
    frame["share"] = frame["tokens"] / frame["tokens"].sum()
    return frame


def agreement_by_budget(pairs: pd.DataFrame) -> list[Agreement]:
    """pairs (budget, same, n) one row per budget, counted in the log -> one Agreement per budget, dearest first."""
    rows = pairs[pairs["n"] > 0].sort_values("budget", ascending=False) if len(pairs) else pairs
    return [
        Agreement(budget=float(row.budget), same=int(row.same), n=int(row.n)) for row in rows.itertuples(index=False)
    ]


def worst_agreement(measured: Sequence[Agreement]) -> Agreement | None:
    """The budget that agrees least, of those with `MIN_PAIRS` texts; else the one with most texts; None without any.

    Budgets are not added up: the same texts would count several times."""
    enough = [a for a in measured if a.n >= MIN_PAIRS]
    if enough:
        return min(enough, key=lambda a: (a.share, a.budget))
    return max(measured, key=lambda a: a.n, default=None)


def agreement_frame(measured: Sequence[Agreement]) -> pd.DataFrame:
    """-> (budget, same, n, share, low, high) one row per budget, for the chart and the table."""
    return pd.DataFrame(
        [
            {
                "budget": a.budget,
                "same": a.same,
                "n": a.n,
                "share": a.share,
                "low": a.interval[0],
                "high": a.interval[1],
            }
            for a in measured
        ],
        columns=["budget", "same", "n", "share", "low", "high"],
    )


def accuracies(cards: Mapping[str, tuple[Mapping[str, float], int]]) -> list[Accuracy]:
    """cards: head -> (accuracy by budget as text, with "dense"; number of held-out texts) -> one entry per head
    and budget, without those that were never compared with the dense original."""
    return [
        Accuracy(head=head, budget=float(budget), accuracy=value, dense=by_budget["dense"], n=n)
        for head, (by_budget, n) in sorted(cards.items())
        if n > 0 and "dense" in by_budget
        for budget, value in by_budget.items()
        if budget != "dense"
    ]


def worst_accuracy(measured: Sequence[Accuracy], budget: float | None) -> Accuracy | None:
    """Of the entries at the measured budget nearest to `budget`: the head that loses most against dense."""
    if not measured or budget is None:
        return None
    nearest = min({a.budget for a in measured}, key=lambda b: (abs(b - budget), b))
    return min((a for a in measured if a.budget == nearest), key=lambda a: a.change)
