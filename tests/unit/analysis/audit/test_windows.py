"""The audit over time."""

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.documents import Documents, documents
from moe_core.analysis.audit.outcome_columns import outcomes_of
from moe_core.analysis.audit.report_document import windows_document
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.windows import settings_of_window, watch, window_length, windows
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
    assert frame["reason"][3].text() == "fewer than two groups have 5 documents"
    assert (frame["minimum_detectable"][:3] > 0).all()


def test_a_year_of_days_makes_no_alarm_likely() -> None:
    """5 windows without a difference, 10 times: at most 3 have any alarm of routing (expected: one in 20)."""
    assert sum(alarm(run, 5) for run in range(10)) <= 3


@pytest.mark.slow
def test_alarms_over_windows_keep_their_rate() -> None:
    """200 logs of 10 windows without a difference: alarms of routing in at most 21 (99.9 % limit of 5 %)."""
    assert sum(alarm(run, 10) for run in range(200)) <= 21


def alarm(run: int, days: int) -> bool:
    quick = AuditSettings(permutations=199, resamples=100, min_difference=0, seed=run)
    counts = make_counts(np.random.default_rng([14, run]), 40 * days, tokens=20)
    began = pd.Timestamp("2026-03-01") + pd.to_timedelta(np.arange(40 * days) / 40, unit="D")
    found = documents(*frames_of(counts, started_at=began), group="group", settings=quick)
    return bool(watch(found, DAY, quick)["flagged"].any())


def test_a_level_divided_by_windows_can_still_be_reached() -> None:
    """50 windows: a thousandth each, and 10,000 permutations, of which ten are that level."""
    each = settings_of_window(AuditSettings(), 50)
    assert (each.alpha, each.permutations) == (0.001, 9_999)
    assert settings_of_window(AuditSettings(), 1).permutations == 999


def test_compute_and_outcome_are_watched_too() -> None:
    """Three windows of equal numbers; in the last one texts of b cost twice the tokens and are never favoured."""
    rng = np.random.default_rng(3)
    counts = make_counts(rng, 120)
    late = (np.arange(120) >= 80) & (counts.group_D == 1)
    label = np.where(late, "no", np.where(rng.random(120) < 0.6, "yes", "no")).tolist()
    characters = counts.tokens_DL[:, 0] * np.where(late, 2.0, 4.0) * rng.uniform(0.9, 1.1, 120)
    found = documents(*frames_of(counts, label=label, n_characters=characters), group="group", settings=SETTINGS)
    frame = watch(found, 3, SETTINGS, outcomes_of(found, "label", "yes"))
    assert frame["documents"].tolist() == [40, 40, 40]
    assert frame["compute_flagged"].tolist() == [False, False, True]
    assert frame["outcome_flagged"].tolist() == [False, False, True]
    assert not frame["flagged"].any()
    document = windows_document(frame, SETTINGS)
    assert [row["outcome_flagged"] for row in document["windows"]] == [False, False, True]
    assert document["windows_error_control"]["alpha_per_window"] == pytest.approx(0.05 / 3)


def test_what_is_no_window_is_refused() -> None:
    """A word that is none, one window, a thousand; documents of one moment; hours over years."""
    assert window_length("day") == DAY
    assert window_length("12") == 12
    for text in ("month", "1", "0", "-3", "1000", "1.5"):
        with pytest.raises(AuditError, match="hour, day, week"):
            window_length(text)
    found = three_days()
    with pytest.raises(AuditError, match="at most 100"):
        windows(found, pd.Timedelta("1min"))
    at_once = documents(
        *frames_of(found.counts, started_at=pd.Timestamp("2026-03-01")), group="group", settings=SETTINGS
    )
    with pytest.raises(AuditError, match="one moment"):
        windows(at_once, 3)
