"""The parts of the audit log: verification, search, and one request with its decisions."""

import pandas as pd
import streamlit as st

from moe_core.analysis.trace import recorded_trace
from moe_core.dashboard import data, numbers, resources, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.filters import ALL, choice, domain_labels, share, text_choice
from moe_core.dashboard.routing_view import routing_view

REPORT = "audit_report"
SELECTED = "request"


def finding(ctx: PageContext) -> str:
    """The title: how much is on record."""
    runs = data.runs(ctx)
    decisions, requests = int(runs["n_decisions"].sum()), int(runs["n_requests"].sum())
    if requests == 1:
        return ctx.t("One request with {decisions:,} decisions is on record").format(decisions=decisions)
    return ctx.t("{decisions:,} decisions of {requests:,} requests are on record").format(
        decisions=decisions, requests=requests
    )


def verification(ctx: PageContext) -> None:
    """The button that checks the whole store now, and its result."""
    t = ctx.t
    with st.container(key="card_audit_verify"):
        left, right = st.columns([4, 1], vertical_alignment="center")
        with right:
            if st.button(t("Verify the chain"), type="primary", key="audit_verify", width="stretch"):
                with st.spinner(t("Checking every file …")):
                    report = data.verify(ctx)
                st.session_state[REPORT] = (pd.Timestamp.now(tz="UTC"), report)
        with left:
            st.header(t("Is the record unchanged?"), anchor=False)
            if REPORT not in st.session_state:
                st.caption(
                    t("Every file has a checksum and every entry holds the one before it: the log is tamper-evident.")
                )
                return
            checked_at, report = st.session_state[REPORT]
            if report.ok:
                st.markdown(
                    t(
                        "**Intact**: {segments:,} segments with {decisions:,} decisions match their checksums, and the "
                        "chain has no gap (checked {time:%Y-%m-%d %H:%M:%S} UTC)."
                    ).format(segments=report.segments, decisions=report.decisions, time=checked_at)
                )
            else:
                st.markdown(
                    t(
                        "**Changed or damaged**: {errors} problems; {segments:,} segments with {decisions:,} decisions "
                        "are still whole (checked {time:%Y-%m-%d %H:%M:%S} UTC)."
                    ).format(
                        errors=len(report.errors),
                        segments=report.segments,
                        decisions=report.decisions,
                        time=checked_at,
                    )
                )
            for line in (*report.errors, *report.notes):
                st.text(line)


def find_request(ctx: PageContext) -> str | None:
    """Search fields and the table of requests; the id of the chosen request, None where none is chosen."""
    t = ctx.t
    with widgets.card(t("Which request?"), t("Newest first. Choose a row to see its decisions."), key="audit_find"):
        first, second, third, fourth = st.columns([3, 2, 2, 3])
        with first:
            search = text_choice(
                t("Text contains"), key="audit_search", parameter="q", placeholder=t("words of the text")
            )
        with second:
            labels = data.label_names(ctx)
            label = choice(t("Answer"), [ALL, *labels], {ALL: t("All answers")}, key="audit_label", parameter="label")
        with third:
            names = data.domain_names(ctx)
            domain = choice(
                t("Domain"), [ALL, *names], domain_labels(ctx, names), key="audit_domain", parameter="domain"
            )
        with fourth:
            wanted = request_field(ctx)
        clicked = _table(ctx, search=search, label=label or None, domain=domain or None)
    chosen = clicked or wanted
    share(SELECTED, chosen)
    return chosen or None


def request_field(ctx: PageContext) -> str:
    """The field for an exact id; a link to a request fills it."""
    if "audit_request" not in st.session_state:
        st.session_state["audit_request"] = st.query_params.get(SELECTED, "")
    field = st.text_input(ctx.t("Request ID"), key="audit_request", placeholder=ctx.t("or the exact ID"))
    return str(field or "").strip()


def _table(ctx: PageContext, *, search: str, label: str | None, domain: str | None) -> str | None:
    t = ctx.t
    page_number = int(st.session_state.get("audit_page", 1))
    found = data.requests(ctx, run_id=None, search=search, label=label, domain=domain, page=page_number)
    pages = max(1, -(-found.total // data.PAGE_SIZE))
    if page_number > pages:
        st.session_state["audit_page"] = 1
        found = data.requests(ctx, run_id=None, search=search, label=label, domain=domain, page=1)
    st.caption(t("{n:,} requests match").format(n=found.total))
    sources = data.runs(ctx).set_index("run_id")["source"].to_dict()
    frame = numbers.requests_table(ctx, found.frame, sources)
    event = st.dataframe(
        frame,
        key="audit_table",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height=330,
        column_config=widgets.number_formats(frame)
        | {
            t("Text"): st.column_config.TextColumn(width=360),
            t("Mode"): st.column_config.TextColumn(width=120),
        },
        placeholder="—",
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        if pages > 1:
            st.pagination(pages, key="audit_page")
        widgets.csv_download(ctx, found.frame.drop(columns=["attributes"]), file_name="requests.csv", key="audit_csv")
    rows = event["selection"]["rows"]
    return str(found.frame["request_id"].iloc[rows[0]]) if rows and rows[0] < len(found.frame) else None


def show_request(ctx: PageContext, request_id: str) -> None:
    """One request: its text and answer, what it cost, and every decision."""
    t = ctx.t
    request = data.request(ctx, request_id)
    decisions = data.request_trace(ctx, request_id)
    with widgets.card(t("What was asked?"), key="audit_request_text"):
        st.text(t("(erased)") if pd.isna(request["text"]) else str(request["text"]))
        with st.container(horizontal=True, gap="small", vertical_alignment="center", key="inline_code_audit"):
            st.caption(t("Request ID"), width="content")
            st.code(request_id, language=None, width="content")
            st.caption(f"{request['started_at']:%Y-%m-%d %H:%M:%S} UTC", width="content")
    widgets.metric_row(ctx, numbers.request_numbers(ctx, request, len(decisions)), key="audit")
    if decisions.empty:
        st.caption(t("The dense original decides nothing: all experts run, so there is no decision to show."))
        return
    run = data.runs(ctx).set_index("run_id").loc[request["run_id"]]
    trace = recorded_trace(decisions, token_texts(ctx, decisions, str(run["model"])))
    routing_view(
        ctx, trace, n_layers=int(run["n_layers"]), n_experts=int(run["n_experts"]), key="audit", request=request_id,
        run_id=str(request["run_id"]),
    )  # fmt: skip


def token_texts(ctx: PageContext, decisions: pd.DataFrame, model_name: str) -> list[str]:
    """The text of every position, or its token id where the vocabulary of that model is not here."""
    first = decisions.drop_duplicates("position").set_index("position")["token_id"]
    vocabulary = resources.vocabulary(ctx, model_name)
    texts = [""] * (int(decisions["position"].max()) + 1)
    for position, token_id in first.items():
        if not pd.isna(token_id):
            texts[int(position)] = vocabulary(int(token_id)) or f"#{int(token_id)}"
    return texts
