"""What groups pay: per document, with the product of tokens and experts beside both."""

import numpy as np
import pytest

from moe_core.analysis.audit.compute import audit_compute
from moe_core.analysis.audit.documents import documents
from moe_core.analysis.audit.settings import AuditSettings
from tests.unit.analysis.audit.frames import frames_of
from tests.unit.analysis.audit.generator import make_counts

QUICK = AuditSettings(permutations=199)


def test_a_group_whose_words_cost_more_tokens_is_found() -> None:
    """Two tokens per five characters against one: ratio 2, also per character of experts; equal experts per token by
    construction; FLOPs follow what the log says; latency is that of a batch: described, in no verdict."""
    counts = make_counts(np.random.default_rng(0), 40)
    tokens = counts.tokens_DL[:, 0]
    slow = counts.group_D == 1
    noise = np.random.default_rng(1).uniform(0.9, 1.1, 40)
    requests, decisions, shape = frames_of(
        counts, n_characters=np.where(slow, 2.5, 5.0) * tokens * noise, flops=tokens * 100, flops_dense=tokens * 400,
        latency_ms=np.where(slow, 20.0, 10.0) * noise,
    )  # fmt: skip
    found = documents(requests, decisions, shape, group="group", settings=QUICK)
    result = audit_compute(found, QUICK)
    metrics = result.metrics.set_index("metric")
    assert metrics.loc["tokens_per_character", "ratio"] == pytest.approx(2.0, rel=0.1)
    assert metrics.loc["experts_per_character", "ratio"] == pytest.approx(2.0, rel=0.1)
    assert metrics.loc["experts_per_token", "mean"] == 2.0
    assert set(result.equal) == {"experts_per_token", "flops_per_token", "flops_share_of_dense"}
    assert metrics["flagged"].to_dict() == {
        "tokens_per_character": True, "experts_per_token": False, "experts_per_character": True,
        "flops_per_token": False, "flops_per_character": True, "flops_share_of_dense": False,
    }  # fmt: skip
    latency = result.latency.set_index("group")
    assert latency.loc["b", "p50_ms"] == pytest.approx(20, rel=0.1)
    assert (latency["p50_low"] <= latency["p50_ms"]).all()


def test_what_the_log_does_not_hold_is_said() -> None:
    """Redacted texts, an import without FLOPs and latency."""
    counts = make_counts(np.random.default_rng(0), 40)
    requests, decisions, shape = frames_of(
        counts, n_characters=np.full(40, np.nan), flops=np.zeros(40, int), flops_dense=np.zeros(40, int),
        latency_ms=np.full(40, np.nan),
    )  # fmt: skip
    found = documents(requests, decisions, shape, group="group", settings=QUICK)
    result = audit_compute(found, QUICK)
    assert result.metrics["metric"].tolist() == ["experts_per_token"]
    assert result.missing["tokens_per_character"].text() == "no text is on record"
    assert set(result.missing) == {"tokens_per_character", "experts_per_character", "flops_per_token",
                                   "flops_per_character", "flops_share_of_dense", "latency_ms"}  # fmt: skip
    assert not result.flagged
    assert result.latency.empty


def test_numbers_known_for_one_group_only_are_not_compared() -> None:
    """Texts and latency of group b were never recorded: no mean is made up for it."""
    counts = make_counts(np.random.default_rng(0), 40)
    unknown = np.where(counts.group_D == 1, np.nan, 10.0)
    found = documents(*frames_of(counts, latency_ms=unknown, n_characters=unknown), group="group", settings=QUICK)
    result = audit_compute(found, QUICK)
    assert result.missing["tokens_per_character"].text() == "fewer than two groups have it in 5 documents"
    assert "latency_ms" not in set(result.metrics["metric"])
    assert result.latency["group"].tolist() == ["a"]


def test_equal_costs_are_rarely_flagged() -> None:
    """100 logs with noise alone: at most 13 flagged (99.9 % limit of 5 % over all measures together)."""
    flagged = 0
    for run in range(100):
        rng = np.random.default_rng([9, run])
        counts = make_counts(rng, 24, tokens=20)
        noise = rng.lognormal(0, 0.5, (3, 24))
        found = documents(
            *frames_of(counts, latency_ms=noise[0], n_characters=40 * noise[1], flops=(1e6 * noise[2]).astype(int)),
            group="group", settings=QUICK,
        )  # fmt: skip
        flagged += audit_compute(found, AuditSettings(permutations=199, seed=run)).flagged
    assert flagged <= 13
