"""What the audit page reads: the requests of the chosen runs, and finished audits, which all visitors share."""

import threading
from pathlib import Path

import pandas as pd
import streamlit as st

from moe_core.analysis.audit import column_choices, windows
from moe_core.analysis.audit.column_choices import Choices
from moe_core.analysis.audit.question import Audited, LogFrames, Question, audit_question
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.dashboard import data, resources
from moe_core.dashboard.context import PageContext
from moe_core.log import audit_queries as log

MOST_LOOKED_AT = 20
_one_audit = threading.Lock()  # each takes a core for seconds


def auditable_runs(ctx: PageContext) -> pd.DataFrame:
    """Rows of `queries.list_runs` with decisions, newest first; second passes of doubtful requests come last."""
    runs = data.runs(ctx)
    runs = runs[runs["n_decisions"] > 0]
    return pd.concat([runs[runs["escalates"].isna()], runs[runs["escalates"].notna()]], ignore_index=True)


def run_to_begin_with(ctx: PageContext, runs: pd.DataFrame, group: str | None) -> str | None:
    """The newest of `runs` in which two groups of the column (None: of the one that is chosen by itself) are large
    enough to be compared; None where no run has them among the MOST_LOOKED_AT newest that could."""
    settings = AuditSettings()
    could = runs[runs["n_requests"] >= 2 * settings.least_group].head(MOST_LOOKED_AT)
    version = resources.version(ctx.store)
    for run_id in could["run_id"]:
        if _can_compare(str(ctx.store), version, str(run_id), group):
            return str(run_id)
    return None


def choices(ctx: PageContext, run_ids: tuple[str, ...]) -> Choices:
    """What these runs can be asked about. Raises LogError for runs of different models."""
    return _choices(str(ctx.store), resources.version(ctx.store), run_ids)


def sizes(ctx: PageContext, run_ids: tuple[str, ...], name: str) -> pd.DataFrame:
    """Requests and tokens by value of a column, as `group_sizes`."""
    return _sizes(str(ctx.store), resources.version(ctx.store), run_ids, name)


def values(ctx: PageContext, run_ids: tuple[str, ...], name: str) -> list[str]:
    """The values of an outcome, as `values_of`."""
    return _values(str(ctx.store), resources.version(ctx.store), run_ids, name)


def audit(
    ctx: PageContext, run_ids: tuple[str, ...], question: Question, reference: str | None, version: int
) -> Audited:
    """The audit of these runs; `version` is that of the store when it was asked for, so that a finished audit stays as
    it is while more is recorded. Read-only. Raises LogError, AuditError or GroupTooSmallError."""
    return _audit(
        str(ctx.store), version, run_ids, question.group, question.outcome, question.favourable, question.strata,
        question.unit, reference,
    )  # fmt: skip


def over_time(audited: Audited, length: pd.Timedelta, key: str) -> pd.DataFrame:
    """The audit of each window, as `windows.watch`; `key` tells one audit from another."""
    return _over_time(audited, length, key)


@st.cache_data(show_spinner=False, max_entries=16)
def _choices(store: str, version: int, run_ids: tuple[str, ...]) -> Choices:
    return column_choices.choices(_requests(store, version, run_ids), AuditSettings())


@st.cache_data(show_spinner=False, max_entries=256)
def _can_compare(store: str, version: int, run_id: str, group: str | None) -> bool:
    requests = log.audit_requests(resources.index(Path(store)), [run_id])
    return column_choices.can_compare(requests, group, AuditSettings())


@st.cache_data(show_spinner=False, max_entries=32)
def _sizes(store: str, version: int, run_ids: tuple[str, ...], name: str) -> pd.DataFrame:
    return column_choices.group_sizes(_requests(store, version, run_ids), name)


@st.cache_data(show_spinner=False, max_entries=32)
def _values(store: str, version: int, run_ids: tuple[str, ...], name: str) -> list[str]:
    return column_choices.values_of(_requests(store, version, run_ids), name)


@st.cache_resource(show_spinner=False, max_entries=2)
def _requests(store: str, version: int, run_ids: tuple[str, ...]) -> pd.DataFrame:
    index = resources.index(Path(store))
    chosen = log.runs_to_audit(index, run_ids)
    return log.audit_requests(index, [str(run_id) for run_id in chosen["run_id"]])


@st.cache_resource(show_spinner=False, max_entries=4)
def _audit(
    store: str, version: int, run_ids: tuple[str, ...], group: str, outcome: str | None, favourable: str | None,
    strata: tuple[str, ...], unit: str | None, reference: str | None,
) -> Audited:  # fmt: skip
    with _one_audit:
        frames = LogFrames(**log.audit_frames(resources.index(Path(store)), run_ids))
        question = Question(group=group, outcome=outcome, favourable=favourable, strata=strata, unit=unit)
        return audit_question(frames, question, AuditSettings(reference=reference))


@st.cache_data(show_spinner=False, max_entries=8)
def _over_time(_audited: Audited, length: pd.Timedelta, key: str) -> pd.DataFrame:
    with _one_audit:
        return windows.watch(
            _audited.report.documents, length, _audited.report.settings, _audited.outcomes
        )
