"""Are the groups answered differently? Rates of a favourable outcome, and of errors where the right answer is known.

    selection rate   favourable outcomes / documents
    TPR, FPR         favourable outcomes among those whose right answer is, is not, favourable
    base rate        favourable right answers / documents with one
    calibration gap  mean score minus share of right answers: 0 where a score of .8 is right in 80 % of cases

Parity of selection and equal error rates cannot both hold where base rates differ, so base rates stand beside them. A
document of several requests counts with its own rate. Definitions as in fairlearn (Bird et al., 2020).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from moe_core.analysis.audit.contrasts import contrasts_of
from moe_core.analysis.audit.counts import Floats, RoutingCounts
from moe_core.analysis.audit.intervals import sides
from moe_core.analysis.audit.rate_intervals import (
    NEWCOMBE,
    around,
    difference_interval,
    extreme_draws,
    gap_interval,
    is_extreme,
    rate_interval,
)
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.value_tests import value_tests
from moe_core.analysis.message import Message

SELECTION, TPR, FPR = "selection_rate", "true_positive_rate", "false_positive_rate"
RATES = (SELECTION, TPR, FPR, "base_rate")
TESTED = (SELECTION, TPR, FPR, "calibration_gap")
Rule = Literal["below", "not below", "uncertain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """One number per document, NaN where it has none: `favourable_D` rate of favourable outcomes, `positive_D` rate of
    favourable outcomes among requests whose right answer is favourable, `negative_D` the same for the others, `base_D`
    rate of favourable right answers, `gap_D` score minus right. `column`, `favourable`: what is a favourable outcome.
    `single`: every document is one request. `unknown`: requests without an outcome."""

    column: str
    favourable: Message
    favourable_D: Floats
    positive_D: Floats
    negative_D: Floats
    base_D: Floats
    gap_D: Floats
    single: bool
    unknown: int
    notes: tuple[Message, ...] = ()

    def of(self, keep_D: NDArray[np.bool_]) -> "Outcomes":
        """Some of the documents."""
        return replace(
            self, favourable_D=self.favourable_D[keep_D], positive_D=self.positive_D[keep_D],
            negative_D=self.negative_D[keep_D], base_D=self.base_D[keep_D], gap_D=self.gap_D[keep_D],
        )  # fmt: skip

    def named(self) -> dict[str, Floats]:
        return {SELECTION: self.favourable_D, TPR: self.positive_D, FPR: self.negative_D, "base_rate": self.base_D,
                "calibration_gap": self.gap_D}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeResult:
    """`rates`: (metric, group, n, rate, low, high). `differences`: as `value_tests`, and `large`, `flagged`. `parity`:
    (metric, value, low, high) of demographic parity difference and ratio and equalised odds difference. `ratios`:
    (group, against, ratio, low, high, rule), selection rate against that of the group with the highest. `exact_p`:
    Fisher's test of two groups, None otherwise."""

    column: str
    favourable: Message
    rates: pd.DataFrame
    differences: pd.DataFrame
    parity: pd.DataFrame
    ratios: pd.DataFrame
    exact_p: float | None
    unknown: int
    notes: tuple[Message, ...]

    @property
    def flagged(self) -> bool:
        return bool(self.differences["flagged"].any())


def audit_outcome(outcomes: Outcomes, counts: RoutingCounts, settings: AuditSettings) -> OutcomeResult:
    """Of all documents, whatever the strata."""
    named = outcomes.named()
    tests = value_tests({name: named[name] for name in TESTED}, counts, settings)
    ratio = tests["ratio"].astype(float)
    _mend_intervals(tests, named, counts, settings)
    tests["large"] = (tests["difference"].abs() >= settings.min_difference) | ~(
        (ratio >= settings.outcome_ratio) & (ratio <= 1 / settings.outcome_ratio)
    )
    tests["flagged"] = tests["large"] & (tests["p_maxt"].astype(float) <= settings.alpha)
    drawn = _resampled(named, counts, settings)
    rates = _rates(named, drawn, counts, outcomes.single)
    return OutcomeResult(
        column=outcomes.column, favourable=outcomes.favourable, rates=rates, differences=tests,
        parity=_parity(rates, drawn, counts), ratios=_ratios(rates, drawn, counts, settings),
        exact_p=_exact(outcomes, counts), unknown=outcomes.unknown, notes=outcomes.notes,
    )  # fmt: skip


def _mend_intervals(
    tests: pd.DataFrame, named: dict[str, Floats], counts: RoutingCounts, settings: AuditSettings
) -> None:
    """Differences in which one side has the rate 0 or 1 throughout: its spread of 0 is no certainty."""
    for contrast in contrasts_of(counts.size_G, counts.groups, settings.reference):
        side_D = sides(counts, contrast)
        for name in RATES:
            rates, others = (named[name][side & np.isfinite(named[name])] for side in side_D)
            found = difference_interval(rates, others)
            if found is not None:
                row = (tests["metric"] == name) & (tests["group"] == counts.groups[contrast.group])
                tests.loc[row, ["low", "high"]] = found
                tests.loc[row, "interval_method"] = NEWCOMBE


def _resampled(named: dict[str, Floats], counts: RoutingCounts, settings: AuditSettings) -> dict[str, Floats]:
    """name -> rates of every group when its documents are drawn again, shape (resamples, groups)."""
    rng = np.random.default_rng([settings.seed, 7])
    drawn = {name: np.full((settings.resamples, len(counts.groups)), np.nan) for name in named}
    for g in range(len(counts.groups)):
        rows = np.flatnonzero(counts.group_D == g)
        weight_RD = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), settings.resamples)
        for name, value_D in named.items():
            known = np.isfinite(value_D[rows])
            if name in RATES and is_extreme(value_D[rows][known]):
                drawn[name][:, g] = extreme_draws(value_D[rows][known], settings.resamples, rng)
                continue
            n_R = weight_RD[:, known].sum(axis=1)
            total_R = weight_RD[:, known] @ value_D[rows][known]
            drawn[name][:, g] = np.where(n_R > 0, total_R / np.maximum(n_R, 1), np.nan)
    return drawn


def _rates(
    named: dict[str, Floats], drawn: dict[str, Floats], counts: RoutingCounts, single: bool
) -> pd.DataFrame:
    """Intervals as `rate_interval`."""
    rows = []
    for name, value_D in named.items():
        for g, group in enumerate(counts.groups):
            known = value_D[(counts.group_D == g) & np.isfinite(value_D)]
            if not len(known):
                continue
            if name in RATES:
                low, high = rate_interval(known, drawn[name][:, g], single)
            else:
                low, high = gap_interval(known, drawn[name][:, g])
            rows.append((name, group, len(known), known.mean(), low, high))
    return pd.DataFrame(rows, columns=["metric", "group", "n", "rate", "low", "high"])


def _parity(rates: pd.DataFrame, drawn: dict[str, Floats], counts: RoutingCounts) -> pd.DataFrame:
    def spread(rate_G: Floats) -> Floats:
        spread_of: Floats = np.fmax.reduce(rate_G, axis=-1) - np.fmin.reduce(rate_G, axis=-1)
        return spread_of

    point = {name: _points(rates, name, counts) for name in drawn}
    highest = np.fmax.reduce(drawn[SELECTION], axis=1)
    ratio_R = np.fmin.reduce(drawn[SELECTION], axis=1) / np.where(highest > 0, highest, np.nan)
    top = float(np.nanmax(point[SELECTION]))
    rows = [
        ("demographic_parity_difference", float(spread(point[SELECTION])), spread(drawn[SELECTION])),
        ("demographic_parity_ratio", float(np.nanmin(point[SELECTION])) / top if top > 0 else np.nan, ratio_R),
    ]
    if np.isfinite(point[TPR]).all() and np.isfinite(point[FPR]).all():
        odds_R = np.fmax(spread(drawn[TPR]), spread(drawn[FPR]))
        rows.append(("equalized_odds_difference", float(max(spread(point[TPR]), spread(point[FPR]))), odds_R))
    return pd.DataFrame(
        [(name, value, *around(value, drawn_R)) for name, value, drawn_R in rows],
        columns=["metric", "value", "low", "high"],
    )


def _points(rates: pd.DataFrame, name: str, counts: RoutingCounts) -> Floats:
    of_metric = rates[rates["metric"] == name].set_index("group")["rate"]
    point_G: Floats = of_metric.reindex(list(counts.groups)).to_numpy(np.float64)
    return point_G


def _ratios(
    rates: pd.DataFrame, drawn: dict[str, Floats], counts: RoutingCounts, settings: AuditSettings
) -> pd.DataFrame:
    point_G = _points(rates, SELECTION, counts)
    best = int(np.nanargmax(point_G))
    rows = []
    for g, group in enumerate(counts.groups):
        if g == best or not np.isfinite(point_G[g]) or point_G[best] == 0:
            continue
        against_R = drawn[SELECTION][:, best]
        ratio_R = drawn[SELECTION][:, g] / np.where(against_R > 0, against_R, np.nan)
        low, high = around(float(point_G[g] / point_G[best]), ratio_R)
        rule: Rule = "uncertain"
        if high < settings.outcome_ratio:
            rule = "below"
        elif low >= settings.outcome_ratio:
            rule = "not below"
        rows.append((group, counts.groups[best], point_G[g] / point_G[best], low, high, rule))
    return pd.DataFrame(rows, columns=["group", "against", "ratio", "low", "high", "rule"])


def _exact(outcomes: Outcomes, counts: RoutingCounts) -> float | None:
    if not outcomes.single or len(counts.groups) != 2:
        return None
    known_D = np.isfinite(outcomes.favourable_D)
    table = [
        [int((outcomes.favourable_D[known_D & (counts.group_D == g)] == rate).sum()) for rate in (1, 0)] for g in (0, 1)
    ]
    return float(stats.fisher_exact(table).pvalue)
