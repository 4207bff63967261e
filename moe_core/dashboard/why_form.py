"""The first controls of *Why this expert*: a recorded request or a text of one's own."""

import math

import pandas as pd
import streamlit as st

from moe_core.dashboard import data, filters, resources, widgets
from moe_core.dashboard.context import PAGES, PageContext
from moe_core.dashboard.live_form import DEFAULT_BUDGET, STEP
from moe_core.dashboard.numbers import run_label
from moe_core.dashboard.recorder import SOURCE
from moe_core.dashboard.why_source import Blocked, Source, recorded_source
from moe_core.explain.replay import LoggedRun
from moe_core.model.requests import Setting

LOG, OWN = "log", "text"
TYPED = "why_typed"  # the last text that was sent, with its setting
RUN, REQUEST = "why_run", "why_request"  # widget keys


def choose_source(ctx: PageContext) -> Source | None:
    """Draw the controls. None where there is nothing to explain yet; then a panel says why."""
    t = ctx.t
    recorded = data.has_decisions(ctx)
    with st.container(key="card_why_source"):
        kind = OWN
        if recorded:
            kind = st.radio(
                t("Which text?"), [LOG, OWN], key="why_kind", horizontal=True,
                index=int(st.query_params.get("from") == OWN),
                format_func={LOG: t("A recorded request"), OWN: t("Own text")}.__getitem__,
            )  # fmt: skip
            filters.share("from", OWN if kind == OWN else "")
        found = _recorded(ctx) if kind == LOG else _typed(ctx)
    if isinstance(found, Blocked):
        blocked_panel(ctx, found)
        return None
    return found


def blocked_panel(ctx: PageContext, blocked: Blocked) -> None:
    """Why nothing can be explained, and what to do. Names in it are foreign text."""
    with widgets.card(ctx.t("This request cannot be explained here"), key="why_blocked"):
        st.text(blocked.why.text(ctx.t))
        st.text(blocked.remedy.text(ctx.t))
        request_id = st.session_state.get(REQUEST)
        if request_id:
            st.page_link(
                PAGES / "audit_log.py", label=ctx.t("Open in the audit log"), icon=":material/fact_check:",
                query_params={"request": str(request_id), "lang": ctx.lang},
            )  # fmt: skip


def _recorded(ctx: PageContext) -> Source | Blocked:
    t = ctx.t
    runs = data.runs(ctx)
    runs = runs[runs["n_requests"] > 0].set_index("run_id")
    linked = st.query_params.get("request") if RUN not in st.session_state else None
    if linked:  # a link names the request; its run follows
        st.session_state[RUN] = str(data.request(ctx, linked)["run_id"])
    left, right = st.columns([2, 3])
    with left:
        run_id = filters.choice(
            t("Run"), list(runs.index), {run_id: run_label(run, t) for run_id, run in runs.iterrows()},
            key=RUN, parameter="run", default=newest_run(runs), always=True,
        )  # fmt: skip
    found = data.requests(ctx, run_id=run_id, search="", label=None, domain=None, page=1).frame
    texts = {str(row.request_id): _short(row.text, t("(erased)")) for row in found.itertuples()}
    wanted = linked or st.session_state.get(REQUEST) or st.query_params.get("request")
    if wanted and wanted not in texts and (request := _of_run(ctx, wanted, run_id)) is not None:
        texts[wanted] = _short(request["text"], t("(erased)"))
    with right:
        request_id = filters.choice(
            t("Request (the newest of the run; others by a link from the audit log)"), list(texts), texts,
            key=REQUEST, parameter="request", default=next(iter(texts)), always=True,
        )  # fmt: skip
    run = LoggedRun.of(request_id, data.run_of_request(ctx, request_id, run_id).to_dict())
    return recorded_source(run, resources.model(ctx))


def newest_run(runs: pd.DataFrame) -> str:
    """The run of the newest live answer, else of the newest that decided something; runs: indexed by run_id."""
    deciding = runs[runs["n_decisions"] > 0]
    live = deciding[deciding["source"] == SOURCE]
    newest = live if len(live) else (deciding if len(deciding) else runs)
    return str(newest["last_seen"].idxmax())


def _of_run(ctx: PageContext, request_id: str, run_id: str) -> "pd.Series | None":
    """A request of this run; None for one of another run. Raises RequestNotFoundError."""
    request = data.request(ctx, request_id)
    return request if str(request["run_id"]) == run_id else None


def _typed(ctx: PageContext) -> Source | None:
    """The form for a text of one's own; nothing is recorded."""
    t = ctx.t
    model = resources.model(ctx)
    heads = sorted(model.heads)
    lowest = math.ceil(model.calibration.smallest_budget / STEP) * STEP
    with st.form("why_form", border=False):
        text = st.text_area(
            t("Text"), key="why_text", height=84,
            placeholder=t("For example: The parcel never arrived and nobody answers."),
        )  # fmt: skip
        dial, head_column, button_column = st.columns([7, 4, 3], vertical_alignment="bottom")
        budget = dial.slider(
            t("Budget: share of the expert compute to spend"),
            min_value=round(lowest, 2), max_value=1.0, value=DEFAULT_BUDGET, step=STEP, key="why_budget",
        )  # fmt: skip
        head = head_column.selectbox(
            t("Head"), heads, key="why_head",
            index=heads.index(model.default_head) if model.default_head in heads else 0,
        )  # fmt: skip
        sent = button_column.form_submit_button(t("Explain"), type="primary", width="stretch", key="why_send")
    if sent:
        setting = Setting(budget=budget, head=head)
        st.session_state[TYPED] = Source(identity=f"{budget} {head} {text}", text=text, setting=setting)
    typed: Source | None = st.session_state.get(TYPED)
    if typed is None:
        st.caption(t("The text stays on this machine, and nothing is recorded."))
    return typed


def _short(text: object, erased: str, limit: int = 90) -> str:
    shown = erased if pd.isna(text) else " ".join(str(text).split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
