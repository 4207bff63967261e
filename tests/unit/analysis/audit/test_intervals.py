"""Intervals of differences of means."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from moe_core.analysis.audit.columns import share_columns
from moe_core.analysis.audit.contrasts import Contrast
from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.intervals import BOOTSTRAP, WELCH, intervals
from moe_core.analysis.audit.routing_frames import contrast_means
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.statistics import Statistics
from tests.unit.analysis.audit.generator import make_counts
from tests.unit.analysis.audit.reference import shares_of

ONE = (Contrast(1, 0),)


def found(counts: RoutingCounts, settings: AuditSettings) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    columns = share_columns(counts, 1)
    mean_KC, against_KC = contrast_means(Statistics(columns, ONE, 2), counts, ONE)
    made = intervals(columns, counts, ONE, mean_KC - against_KC, settings)
    return (mean_KC - against_KC)[0], np.stack([made.low_KC[0], made.high_KC[0]]), made.method_K


def test_the_welch_interval_is_that_of_scipy() -> None:
    """Every cell of 30 documents."""
    counts = make_counts(np.random.default_rng(0), 30, delta=0.5)
    share = shares_of(counts)
    _, ends, method = found(counts, AuditSettings())
    assert method == (WELCH,)
    for c, (layer, expert) in enumerate((layer, expert) for layer in range(4) for expert in range(8)):
        test = stats.ttest_ind(
            share[counts.group_D == 1, layer, expert], share[counts.group_D == 0, layer, expert], equal_var=False
        )
        expected = test.confidence_interval(0.95)
        assert ends[:, c] == pytest.approx([expected.low, expected.high], rel=1e-4, abs=1e-6)


def test_from_a_hundred_documents_the_bootstrap_agrees_with_welch() -> None:
    """Its ends lie near those of Welch's interval; a lopsided contrast keeps Welch's."""
    counts = make_counts(np.random.default_rng(1), 200, delta=0.5)
    difference, ends, method = found(counts, AuditSettings())
    assert method == (BOOTSTRAP,)
    _, welch, _ = found(counts, AuditSettings(bootstrap_from=10_000))
    assert np.abs(ends - welch).max() < 0.15 * (welch[1] - welch[0]).max()
    assert ((ends[0] < difference) & (difference < ends[1])).all()
    lopsided = replace(counts, group_D=(np.arange(200) < 30).astype(np.int64))
    assert found(lopsided, AuditSettings())[2] == (WELCH,)


def test_within_strata_the_difference_and_its_error_are_those_of_a_regression() -> None:
    """Shares regressed on the group and one constant per stratum, with the same spread in both groups."""
    rng = np.random.default_rng(2)
    counts = make_counts(rng, 60, delta=0.5)
    stratum_D = np.where(counts.group_D == 1, rng.random(60) < 0.7, rng.random(60) < 0.3).astype(np.int64)
    counts = replace(counts, stratum_D=stratum_D)
    share_D = shares_of(counts)[:, 0, 0]
    design = np.stack([counts.group_D == 1, stratum_D == 0, stratum_D == 1], axis=1).astype(float)
    fitted, *_ = np.linalg.lstsq(design, share_D, rcond=None)
    difference, ends, _ = found(counts, AuditSettings())
    assert difference[0] == pytest.approx(fitted[0], rel=1e-4)
    residual = share_D - design @ fitted
    error = np.sqrt(residual @ residual / 57 * np.linalg.inv(design.T @ design)[0, 0])
    assert (ends[1, 0] - ends[0, 0]) / 2 == pytest.approx(stats.t.ppf(0.975, 57) * error, rel=0.25)


@pytest.mark.parametrize("strata", [2, 6])
def test_intervals_within_strata_cover(strata: int) -> None:
    """120 logs whose strata differ in routing and in the share of groups: 88 % or more hold the true difference, 0."""
    covered = 0
    for run in range(120):
        rng = np.random.default_rng([7, strata, run])
        stratum_D = rng.integers(0, strata, 48)
        group_D = (rng.random(48) < np.linspace(0.25, 0.75, strata)[stratum_D]).astype(np.int64)
        level_S = np.linspace(0.1, 0.5, strata)
        own_D = np.clip(level_S[stratum_D] + rng.normal(0, 0.05, 48), 0.01, 0.99)
        hits_D = rng.binomial(100, own_D)
        counts = RoutingCounts(
            counts_DLE=np.stack([hits_D, 100 - hits_D], axis=1)[:, None].astype(np.int32),
            tokens_DL=np.full((48, 1), 100, np.int32), group_D=group_D, groups=("a", "b"), stratum_D=stratum_D,
        )  # fmt: skip
        _, ends, _ = found(counts, AuditSettings())
        covered += bool(ends[0, 0] <= 0 <= ends[1, 0])
    assert covered >= 0.88 * 120
