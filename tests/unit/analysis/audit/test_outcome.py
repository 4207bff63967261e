"""Outcomes: rates by hand, definitions of fairlearn, error rates, refusals."""

import math

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.audit.documents import Documents, documents
from moe_core.analysis.audit.outcome import FPR, SELECTION, TPR, audit_outcome
from moe_core.analysis.audit.outcome_columns import outcomes_of
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.errors import AuditError
from tests.unit.analysis.audit.frames import decision_frame, request_frame

QUICK = AuditSettings(permutations=199, resamples=500)


def answered(group: list[str], unit: str | None = None, **columns: object) -> Documents:
    n = len(group)
    attributes = columns.pop("attributes", [{}] * n)
    requests = request_frame(n, **{
        "attributes": [{"group": g, **a} for g, a in zip(group, attributes, strict=True)], **columns,
    })  # fmt: skip
    decisions = decision_frame(np.ones((n, 1, 2), np.int32), np.ones((n, 1), np.int32))
    return documents(requests, decisions, (1, 2), group="group", unit=unit, settings=QUICK)


def hand_made() -> Documents:
    """Group a: 8 of 10 positive; group b: 4 of 10. Right answers: a 6 positive (all found), b 5 positive (3 found)."""
    label = ["pos"] * 8 + ["neg"] * 2 + ["pos"] * 4 + ["neg"] * 6
    right = ["pos"] * 6 + ["neg"] * 4 + ["pos"] * 3 + ["neg"] + ["pos"] * 2 + ["neg"] * 4
    return answered(["a"] * 10 + ["b"] * 10, label=label, reference_label=right, score=[0.9] * 20)


def test_rates_by_hand() -> None:
    """Selection .8 and .4; TPR 6/6 and 3/5; FPR 2/4 and 1/5; base rates .6 and .5; calibration .9 - 8/10, .9 - 7/10."""
    found = hand_made()
    result = audit_outcome(outcomes_of(found, "label", "pos"), found.counts, QUICK)
    rates = result.rates.set_index(["metric", "group"])
    expected = {
        SELECTION: (0.8, 0.4), TPR: (1.0, 0.6), FPR: (0.5, 0.2), "base_rate": (0.6, 0.5), "calibration_gap": (0.1, 0.2),
    }  # fmt: skip
    for metric, pair in expected.items():
        assert [rates.loc[(metric, g), "rate"] for g in "ab"] == pytest.approx(list(pair)), metric
    assert rates.loc[(TPR, "b"), "n"] == 5
    assert ((result.rates["low"] <= result.rates["rate"]) & (result.rates["rate"] <= result.rates["high"])).all()
    parity = result.parity.set_index("metric")["value"]
    assert parity.to_dict() == pytest.approx({
        "demographic_parity_difference": 0.4, "demographic_parity_ratio": 0.5, "equalized_odds_difference": 0.4,
    })  # fmt: skip
    as_far = math.comb(12, 8) * math.comb(8, 2) + math.comb(12, 9) * math.comb(8, 1) + math.comb(12, 10)
    assert result.exact_p == pytest.approx(2 * as_far / math.comb(20, 10))  # 8 of 10 against 4 of 10
    assert result.ratios[["group", "against", "ratio"]].values.tolist() == [["b", "a", 0.5]]
    assert result.ratios["rule"][0] == "uncertain"  # 20 documents cannot tell .5 from .8


def test_a_clear_difference_is_flagged_and_falls_below_the_rule() -> None:
    """200 documents a group, .7 against .4."""
    label = ["pos"] * 140 + ["neg"] * 60 + ["pos"] * 80 + ["neg"] * 120
    found = answered(["a"] * 200 + ["b"] * 200, label=label)
    result = audit_outcome(outcomes_of(found, "label", "pos"), found.counts, QUICK)
    assert result.flagged
    assert result.ratios["rule"][0] == "below"
    row = result.differences.iloc[0]
    assert abs(row["difference"]) == pytest.approx(0.3)
    assert row["low"] < row["difference"] < row["high"]
    assert TPR not in set(result.rates["metric"])


def test_outcomes_that_differ_by_chance_are_rarely_flagged() -> None:
    """100 data sets of two groups of 30 with the same chance: at most 13 flagged (99.9 % limit of 5 %)."""
    flagged = 0
    for run in range(100):
        rng = np.random.default_rng([8, run])
        label = np.where(rng.random(60) < 0.4, "pos", "neg").tolist()
        found = answered(["a", "b"] * 30, label=label)
        flagged += audit_outcome(
            outcomes_of(found, "label", "pos"), found.counts, AuditSettings(permutations=199, resamples=100, seed=run)
        ).flagged
    assert flagged <= 13


def test_requests_of_one_author_count_once() -> None:
    """Ten authors whose 20 requests all end alike are ten cases, not 200: no difference is certain."""
    author = [{"author": f"{g}{i // 20}"} for g in "ab" for i in range(100)]
    label = [("pos" if i // 20 < most else "neg") for most in (4, 2) for i in range(100)]
    found = answered(["a"] * 100 + ["b"] * 100, "author", attributes=author, label=label)
    result = audit_outcome(outcomes_of(found, "label", "pos"), found.counts, QUICK)
    assert result.rates["n"].tolist() == [5, 5]
    assert not result.flagged
    assert result.exact_p is None


def test_numbers_are_favourable_above_the_median_and_unknown_ones_are_counted() -> None:
    """A column of scores with two empty ones."""
    score = np.arange(20) / 20
    score[[3, 5]] = np.nan
    found = answered(["a", "b"] * 10, score=score)
    made = outcomes_of(found, "score", None)
    assert made.unknown == 2
    assert np.nansum(made.favourable_D) == 9
    assert made.favourable.text().startswith("above the median")


def test_of_two_values_the_usual_one_is_favourable() -> None:
    """... and the report says so."""
    made = outcomes_of(answered(["a", "b"] * 10, label=["yes", "no", "no", "yes"] * 5), "label", None)
    assert (made.favourable.text(), len(made.notes)) == ("yes", 1)


@pytest.mark.parametrize(
    ("values", "favourable", "words"),
    [
        ([None] * 20, None, ["'hired'", "no value"]),
        (["nan"] + ["1", "0"] * 9 + ["1"], None, ["NaN", "1 of 20", "NULL"]),
        (["1"] * 20, None, ["only the value '1'"]),
        (["x", "y", "z", "w"] * 5, None, ["4 values", "--favourable"]),
        (["1", "0"] * 10, "maybe", ["no value 'maybe'", "'0', '1'"]),
    ],
    ids=["empty", "NaN", "one value", "four values", "unknown favourable"],
)
def test_an_outcome_that_cannot_be_used_is_refused(
    values: list[str | None], favourable: str | None, words: list[str]
) -> None:
    """One clear sentence."""
    found = answered(["a", "b"] * 10, attributes=[{"hired": v, "x": "1"} for v in values])
    with pytest.raises(AuditError) as raised:
        outcomes_of(found, "hired", favourable)
    for word in words:
        assert word in str(raised.value)


def test_a_missing_outcome_column_is_named() -> None:
    """... with what there is instead."""
    with pytest.raises(AuditError, match=r"'hired' for --outcome: the attributes of these requests are group"):
        outcomes_of(answered(["a", "b"] * 10), "hired", None)


def test_nan_from_frames_is_unknown_only_as_a_number() -> None:
    """A score that was never given is NaN in a frame: unknown, not a fault."""
    found = answered(["a", "b"] * 10, score=pd.Series([np.nan, 0.5] * 10))
    assert outcomes_of(found, "score", "0.5").unknown == 10
