"""A report as one JSON document: the public keys of `routelens audit --json`. What is not known is null, never NaN."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from moe_core.analysis.audit.audit import AuditReport
from moe_core.analysis.audit.compute import LATENCY_NOTE, UNITS, ComputeResult
from moe_core.analysis.audit.outcome import OutcomeResult
from moe_core.analysis.audit.rare_cases import RareCases
from moe_core.analysis.audit.routing import RoutingResult
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.validity import RecordCheck
from moe_core.analysis.audit.windows import settings_of_window
from moe_core.analysis.json_rows import json_rows
from moe_core.analysis.message import Message


def to_document(report: AuditReport, record: RecordCheck | None = None) -> dict[str, Any]:
    """Plain values only: `json.dumps(..., allow_nan=False)` takes it."""
    documents, routing = report.documents, report.routing
    document: dict[str, Any] = {
        "valid": report.validity.valid,
        "invalid_reasons": [reason.text() for reason in report.validity.reasons],
        "warnings": [warning.text() for warning in report.validity.warnings],
        "verdicts": {
            name: {"finding": verdict.finding, "sentence": verdict.sentence.text()}
            for name, verdict in report.verdicts.items()
        },
        "group": documents.group_column,
        "unit": documents.unit,
        "documents": documents.n,
        "requests": len(documents.requests),
        "groups": json_rows(documents.sizes),
        "excluded": [{**asdict(e), "reason": e.reason.text()} for e in documents.excluded],
        "analysis": "within strata" if routing.within_strata else "marginal",
        "strata": _strata(report),
        **_routing(routing),
        "marginal": None if report.marginal is None else _routing(report.marginal),
        "minimum_detectable_difference": routing.minimum_detectable,
        "compute": _compute(report.compute),
        "outcome": None if report.outcome is None else _outcome(report.outcome),
        "rare_cases": None if report.rare_cases is None else _rare_cases(report.rare_cases),
        "self_tests": _self_tests(report, record),
        "settings": asdict(report.settings),
    }
    cleaned: dict[str, Any] = _plain(document)
    return cleaned


def windows_document(frame: pd.DataFrame, settings: AuditSettings) -> dict[str, Any]:
    """`windows`: a row per window as `windows.watch`, and at which level each of them was tested."""
    each = settings_of_window(settings, int(frame["audited"].sum()))
    rows = [
        {**row, "reason": row["reason"].text() if isinstance(row["reason"], Message) else None}
        for row in json_rows(frame)
    ]
    level = {"alpha": settings.alpha, "alpha_per_window": each.alpha, "permutations": each.permutations}
    cleaned: dict[str, Any] = _plain({"windows": rows, "windows_error_control": level})
    return cleaned


def _routing(result: RoutingResult) -> dict[str, Any]:
    return {
        "layers": json_rows(result.layers),
        "cells": _with_interval(result.cells),
        "activation": None if result.activation is None else _with_interval(result.activation),
        "critical_p": result.critical_p,
    }


def _strata(report: AuditReport) -> dict[str, Any] | None:
    by = report.strata
    if by is None:
        return None
    return {"columns": list(by.columns), "strata": list(by.names), "merged": by.merged, "dropped": by.dropped_share}


def _compute(result: ComputeResult) -> dict[str, Any]:
    metrics = _with_interval(result.metrics)
    return {
        "metrics": [{**row, "unit": UNITS[row["metric"]]} for row in metrics],
        "latency": json_rows(result.latency),
        "latency_note": LATENCY_NOTE,
        "equal_by_construction": list(result.equal),
        "missing": {name: reason.text() for name, reason in result.missing.items()},
    }


def _outcome(result: OutcomeResult) -> dict[str, Any]:
    return {
        "column": result.column, "favourable": result.favourable.text(), "rates": _with_interval(result.rates),
        "differences": _with_interval(result.differences), "parity": _with_interval(result.parity),
        "ratios": _with_interval(result.ratios), "exact_p": result.exact_p, "unknown": result.unknown,
        "notes": [note.text() for note in result.notes],
    }  # fmt: skip


def _rare_cases(result: RareCases) -> dict[str, Any]:
    buckets = _with_interval(result.buckets)
    return {
        "n": result.n, "lost": result.lost, "buckets": buckets, "worst": buckets[result.worst],
        "worst_p": result.worst_p, "rare_minus_common": result.rare_minus_common,
    }  # fmt: skip


def _self_tests(report: AuditReport, record: RecordCheck | None) -> dict[str, Any]:
    tests = report.self_tests
    return {
        "passed": report.validity.valid,
        "negative_control": {**asdict(tests.negative), "passed": tests.negative.passed},
        "positive_control": {
            **asdict(tests.positive), "passed": tests.positive.passed, "underpowered": tests.positive.underpowered,
        },
        "record": None if record is None else {**asdict(record), "passed": record.passed},
    }  # fmt: skip


def _with_interval(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """`low` and `high` become one list `interval`."""
    return [
        {**{k: v for k, v in row.items() if k not in ("low", "high")}, "interval": [row["low"], row["high"]]}
        for row in json_rows(frame)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value is pd.NA else value
