"""The whole report: verdicts apart from one another, the stamp, and a document that is plain JSON."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from moe_core.analysis.audit import report_lines
from moe_core.analysis.audit.audit import run_audit, strata_of
from moe_core.analysis.audit.documents import Documents, documents
from moe_core.analysis.audit.outcome_columns import outcomes_of
from moe_core.analysis.audit.rare_cases import audit_rare_cases
from moe_core.analysis.audit.report_document import to_document
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.validity import RecordCheck
from moe_core.errors import AuditError
from tests.unit.analysis.audit.frames import frames_of
from tests.unit.analysis.audit.generator import make_counts
from tests.unit.analysis.audit.test_rare_cases import pairs

QUICK = AuditSettings(permutations=499, resamples=200)


def log(delta: float = 0.0, n: int = 80, **columns: object) -> Documents:
    counts = make_counts(np.random.default_rng(1), n, delta=delta)
    return documents(*frames_of(counts, **columns), group="group", settings=QUICK)


def test_three_verdicts_are_never_merged() -> None:
    """Routing differs, compute and outcome do not: only one verdict says so, and none of them is about all."""
    found = log(0.8, label=["yes", "no", "no", "yes"] * 20)
    report = run_audit(found, QUICK, outcomes=outcomes_of(found, "label", "yes"))
    assert {name: v.finding for name, v in report.verdicts.items()} == {
        "routing": "difference", "compute": "none found", "outcome": "none found",
    }  # fmt: skip
    sentence = report.verdicts["routing"].sentence.text()
    assert sentence.startswith("Routing differs: layer 0, largest contributor expert 0 (b ")
    assert "80 documents" in sentence
    assert report.validity.valid


def test_the_document_is_plain_json_with_null_for_the_unknown() -> None:
    """No NaN, no numpy, no frame; intervals are lists of two."""
    found = log(label=["yes", "no", "no", "yes"] * 20, latency_ms=np.full(80, np.nan))
    rare = audit_rare_cases(*pairs(np.arange(80) % 9 == 0, np.arange(80.0), np.full(80, 0.9)), QUICK)
    record = RecordCheck(decisions=100)
    report = run_audit(found, QUICK, outcomes=outcomes_of(found, "label", None), rare_cases=rare, record=record)
    document = json.loads(json.dumps(to_document(report, record), allow_nan=False))
    assert document["valid"] is True
    low, high = document["cells"][0]["interval"]
    assert low < document["cells"][0]["difference"] < high
    assert document["layers"][0]["rao_scott_p"] is None
    assert document["compute"]["missing"]["latency_ms"] == "the log holds no latency"
    assert document["self_tests"]["negative_control"]["passed"] is True
    assert document["self_tests"]["record"]["passed"] is True
    assert document["rare_cases"]["worst"]["by"] == "frequency"
    assert document["settings"]["permutations"] == 499
    assert any("Rare cases" in line for line in report_lines.rare_case_lines(report))


def test_damage_in_the_log_stamps_the_report() -> None:
    """Decisions that are missing may be those that matter; requests that were never recorded are only a warning."""
    record = RecordCheck(decisions=100, left_out_batches=1, left_out_decisions=24, unrecorded_requests=3)
    report = run_audit(log(), QUICK, record=record)
    assert not report.validity.valid
    assert "routelens verify" in report.validity.reasons[0].text()
    assert "AUDIT NOT VALID" in report_lines.heading(report)
    assert "3 requests were answered but not recorded" in report.validity.warnings[-1].text()


def test_sample_data_say_so_in_every_report() -> None:
    """The first thing under the groups."""
    report = run_audit(log(), QUICK, record=RecordCheck(decisions=100, demo=True))
    assert report.validity.valid
    assert report_lines.heading(report)[1].startswith("Note: DEMO DATA")


def test_strata_give_both_results_and_say_what_they_dropped() -> None:
    """A topic that only group "a" has is dropped from the conditional result, and stays in the marginal one."""
    counts = make_counts(np.random.default_rng(1), 80, delta=0.8)
    topic = np.where((counts.group_D == 0) & (np.arange(80) < 16), "law", "chat")
    found = documents(*frames_of(counts, domain=topic.tolist()), group="group", settings=QUICK)
    by = strata_of(found, ["domain", "length"], QUICK)
    report = run_audit(found, QUICK, by=by)
    dropped = int((topic == "law").sum())
    assert report.marginal is not None
    assert not report.marginal.within_strata
    assert report.routing.within_strata
    assert report.marginal.layers["documents"].max() == 80
    assert report.routing.layers["documents"].max() == 80 - dropped
    assert any(f"{dropped / 80:.0%} of the documents" in w.text() for w in report.validity.warnings)
    assert report.routing.flagged
    assert report.marginal.flagged
    assert to_document(report)["strata"]["columns"] == ["domain", "length"]


def test_the_frequency_of_words_is_a_stratum() -> None:
    """By document, from what the log says about tokens; without tokens it is refused."""
    found = log()
    rarity = pd.DataFrame({"run_id": "run", "request_id": [f"r{i}" for i in range(80)],
                           "median_log_count": np.arange(80) / 10})  # fmt: skip
    by = strata_of(found, ["frequency"], QUICK, rarity)
    assert by is not None
    assert len(by.names) == 4
    with pytest.raises(AuditError, match="needs the tokens"):
        strata_of(found, ["frequency"], QUICK, rarity.head(0))
    with pytest.raises(AuditError, match="--strata names"):
        strata_of(found, ["group"], QUICK)


def test_few_documents_are_called_underpowered_with_what_they_could_show() -> None:
    """12 documents: the warning carries the minimum detectable difference; the audit stays valid."""
    report = run_audit(log(n=12), QUICK)
    assert report.validity.valid
    assert report.validity.warnings[0].text().startswith("Underpowered: the smallest group has 6 documents")
    assert report.routing.minimum_detectable > 0.05


def test_the_minimum_detectable_difference_is_what_is_detected_in_four_of_five_logs() -> None:
    """Logs with a difference of that size in one cell: found in 60 to 95 % of 60 logs."""
    base = run_audit(log(n=80), QUICK).routing.cells
    size = float(base[(base["layer"] == 0) & (base["expert_id"] == 0)]["minimum_detectable"].iloc[0])
    share = 0.124
    delta = float(np.log((share + size) / (1 - share - size) * (1 - share) / share))
    found = 0
    for run in range(60):
        counts = make_counts(np.random.default_rng([15, run]), 80, delta=delta)
        made = documents(*frames_of(counts), group="group", settings=QUICK)
        cells = run_audit(made, replace(QUICK, permutations=199, resamples=100, shuffles=20, seed=run)).routing.cells
        found += bool(cells[(cells["layer"] == 0) & (cells["expert_id"] == 0)]["p_joint"].iloc[0] <= 0.05)
    assert 36 <= found <= 57
