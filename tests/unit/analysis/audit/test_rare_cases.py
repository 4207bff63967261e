"""Agreement with the dense original by word frequency."""

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.audit.rare_cases import audit_rare_cases
from moe_core.analysis.audit.settings import AuditSettings

QUICK = AuditSettings(permutations=199, resamples=200)


def pairs(lost_N: np.ndarray, common_N: np.ndarray, score_N: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    keys = {"run_id": "run", "request_id": [f"r{i}" for i in range(len(lost_N))]}
    answers = pd.DataFrame({**keys, "label": np.where(lost_N, "neg", "pos"), "dense_label": "pos",
                            "dense_score": score_N})  # fmt: skip
    return answers, pd.DataFrame({**keys, "median_log_count": common_N})


def test_the_bucket_with_the_rarest_words_is_named() -> None:
    """500 texts: 40 of the 100 rarest differ, 5 of every 100 others."""
    common_N = np.arange(500.0)
    lost_N = np.arange(500) % 20 == 0
    lost_N[:40] = True
    found = audit_rare_cases(*pairs(lost_N, common_N, np.tile([0.6, 0.7, 0.8, 0.9, 0.95], 100)), QUICK)
    assert found is not None
    worst = found.buckets.iloc[found.worst]
    assert (worst["by"], worst["bucket"], worst["n"], worst["lost"]) == ("frequency", 0, 100, 43)
    assert worst["low"] < 0.43 < worst["high"]
    assert found.worst_p == pytest.approx(1 / 200)
    assert found.rare_minus_common is not None
    point, low, high = found.rare_minus_common
    assert point == pytest.approx(0.38, abs=0.02)
    assert low < point < high
    assert low > 0


def test_a_penalty_that_is_only_difficulty_vanishes_at_equal_difficulty() -> None:
    """Rare texts are hard, hard texts are lost, rare or not: nothing remains within equal dense scores."""
    rng = np.random.default_rng(0)
    hard_N = rng.random(4000) < 0.5
    common_N = rng.normal(0, 1, 4000) - hard_N
    lost_N = rng.random(4000) < np.where(hard_N, 0.3, 0.02)
    found = audit_rare_cases(*pairs(lost_N, common_N, np.where(hard_N, 0.55, 0.95)), QUICK)
    assert found is not None
    assert found.buckets.iloc[found.worst]["bucket"] == 0
    assert found.rare_minus_common is not None
    point, low, high = found.rare_minus_common
    assert low < 0 < high
    assert abs(point) < 0.05


def test_too_few_pairs_say_nothing() -> None:
    """49 texts, and texts whose tokens were erased."""
    answers, rarity = pairs(np.zeros(60, bool), np.arange(60.0), np.full(60, 0.9))
    assert audit_rare_cases(answers, rarity.head(49), QUICK) is None
    assert audit_rare_cases(answers, rarity, QUICK) is not None
