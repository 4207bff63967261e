"""The audit over time."""

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.documents import Documents, documents
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.windows import watch, windows
from moe_core.errors import AuditError
from tests.unit.analysis.audit.frames import frames_of
from tests.unit.analysis.audit.generator import make_counts

SETTINGS = AuditSettings(permutations=499, resamples=100)
DAY = pd.Timedelta(days=1)


def three_days() -> Documents:
    """40 documents a day without a difference, on the second day a large one; 4 more on the fifth day."""
    rng = np.random.default_rng(0)
    days = [make_counts(rng, 40), make_counts(rng, 40, delta=0.8), make_counts(rng, 40), make_counts(rng, 4)]
    counts = RoutingCounts(
        counts_DLE=np.concatenate([day.counts_DLE for day in days]),
        tokens_DL=np.concatenate([day.tokens_DL for day in days]),
        group_D=np.concatenate([day.group_D for day in days]), groups=("a", "b"),
    )  # fmt: skip
    hours = np.concatenate([np.linspace(24 * day, 24 * day + 23, n) for day, n in ((0, 40), (1, 40), (2, 40), (4, 4))])
    began = pd.Timestamp("2026-03-01") + pd.to_timedelta(hours, unit="h")
    return documents(*frames_of(counts, started_at=began), group="group", settings=SETTINGS)


def test_every_document_is_in_one_window() -> None:
    """Four windows with documents; the empty fourth day is none; counts add up."""
    found = three_days()
    made = windows(found, DAY)
    assert [w.counts.n_documents for w in made] == [40, 40, 40, 4]
    assert made[3].start == pd.Timestamp("2026-03-05")
    assert sum(int(w.counts.counts_DLE.sum()) for w in made) == int(found.counts.counts_DLE.sum())
    with pytest.raises(AuditError, match="above 0"):
        windows(found, pd.Timedelta(0))


def test_the_day_on_which_routing_differed_is_found() -> None:
    """Only that one; a day with two documents a group is listed with the reason."""
    frame = watch(three_days(), DAY, SETTINGS)
    assert frame["flagged"].tolist() == [False, True, False, False]
    assert frame["audited"].tolist() == [True, True, True, False]
    assert "5 or more" in frame["reason"][3]
    assert (frame["minimum_detectable"][:3] > 0).all()


def test_a_year_of_days_makes_no_alarm_likely() -> None:
    """30 windows without a difference, 10 times: at most 3 have any alarm (expected: one in 20)."""
    quick = AuditSettings(permutations=999, resamples=100)
    alarms = 0
    for run in range(10):
        counts = make_counts(np.random.default_rng([14, run]), 600, tokens=20)
        began = pd.Timestamp("2026-03-01") + pd.to_timedelta(np.arange(600) * 30 / 600, unit="D")
        found = documents(*frames_of(counts, started_at=began), group="group", settings=quick)
        alarms += bool(watch(found, DAY, quick)["flagged"].any())
    assert alarms <= 3
