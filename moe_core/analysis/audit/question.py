"""One question to the log, as a page or a command asks it: frames of the log in, the audit and its document out."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from moe_core.analysis.audit.audit import AuditReport, run_audit, strata_of
from moe_core.analysis.audit.columns_of_requests import attribute_keys
from moe_core.analysis.audit.documents import documents
from moe_core.analysis.audit.outcome import Outcomes
from moe_core.analysis.audit.outcome_columns import outcomes_of
from moe_core.analysis.audit.rare_cases import audit_rare_cases
from moe_core.analysis.audit.report_document import to_document, windows_document
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.validity import RecordCheck
from moe_core.analysis.json_rows import json_rows

DEMO = "demo"
IDENTITY = ["run_id", "started_at", "source", "model", "model_sha256", "mode", "budget"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Which column divides the requests, and what else is asked; names as in `columns_of_requests.column`. A
    `favourable` value without an `outcome` is one of the label."""

    group: str
    outcome: str | None = None
    favourable: str | None = None
    strata: tuple[str, ...] = ()
    unit: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LogFrames:
    """What the log holds of the audited runs, named as the functions of `log/audit_queries.py` that read them; `runs`
    as `runs_to_audit`."""

    runs: pd.DataFrame
    requests: pd.DataFrame
    decisions: pd.DataFrame
    rarity: pd.DataFrame
    dense_answers: pd.DataFrame
    damage: pd.DataFrame


@dataclass(frozen=True, kw_only=True, slots=True)
class Audited:
    """A finished audit. `identity`: run_id, started_at, source, model, ... of every audited run; `attributes`: the keys
    that the requests have."""

    question: Question
    report: AuditReport
    record: RecordCheck
    identity: tuple[dict[str, Any], ...]
    attributes: tuple[str, ...]
    outcomes: Outcomes | None = None

    @property
    def run_ids(self) -> list[str]:
        return [str(run["run_id"]) for run in self.identity]

    def document(self, windows: pd.DataFrame | None = None) -> dict[str, Any]:
        """The JSON document of `routelens audit --json`; times are texts only after `default=str`. `windows`: as
        `windows.watch`."""
        document = to_document(self.report, self.record)
        if windows is not None:
            document |= windows_document(windows, self.report.settings)
        return {"runs": self.run_ids, "identity": list(self.identity), **document}


def audit_question(frames: LogFrames, question: Question, settings: AuditSettings) -> Audited:
    """Raises AuditError or GroupTooSmallError where there is nothing to compare, a column is missing or holds NaN."""
    shape = int(frames.runs["n_layers"].iloc[0]), int(frames.runs["n_experts"].iloc[0])
    found = documents(
        frames.requests, frames.decisions, shape, group=question.group, unit=question.unit, settings=settings
    )
    column = question.outcome or ("label" if question.favourable is not None else None)
    outcomes = None if column is None else outcomes_of(found, column, question.favourable)
    rare_cases = audit_rare_cases(frames.dense_answers, frames.rarity, settings)
    damage = {str(name): int(value) for name, value in frames.damage.iloc[0].items()}
    is_demo = bool((frames.runs["source"] == DEMO).any())
    record = RecordCheck(decisions=int(frames.decisions["n"].sum()), demo=is_demo, **damage)
    by = strata_of(found, question.strata, settings, frames.rarity)
    report = run_audit(found, settings, by=by, outcomes=outcomes, rare_cases=rare_cases, record=record)
    identity = tuple(json_rows(frames.runs[IDENTITY]))
    attributes = tuple(attribute_keys(frames.requests))
    return Audited(question=question, report=report, record=record, identity=identity, attributes=attributes,
                   outcomes=outcomes)  # fmt: skip
