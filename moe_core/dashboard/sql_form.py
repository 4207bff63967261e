"""The question of the SQL page: saved examples, the editor, and the answer that the session keeps."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from moe_core.dashboard import filters, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.i18n import Translate
from moe_core.errors import QueryError, RouteLensError
from moe_core.log.console import MAX_ROWS, MOST_CHARACTERS, SelectResult, run_select
from moe_core.log.questions import NAMES, stock_question
from moe_core.log.result_file import result_frame

MAX_BYTES = 8_000_000  # of an answer that a browser is shown
SECONDS = 20.0
MEMORY_MB = 512
SEATS = 2  # questions that this process answers at the same time
OWN = "own"  # the choice of no example
EXAMPLE, TEXT = "sql_example", "sql_text"  # keys of widgets
DRAFT, FILLED = "sql_draft", "sql_filled"  # what the editor holds, and which example filled it
ANSWER, ERROR = "sql_answer", "sql_error"
_seats = threading.BoundedSemaphore(SEATS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question returned, the same as a typed frame, and the seconds it took."""

    result: SelectResult
    frame: pd.DataFrame
    seconds: float


def titles(t: Translate) -> dict[str, str]:
    """Name of each stock question -> its title."""
    return {
        "load_by_expert": t("How often does each expert of each layer run?"),
        "experts_per_token": t("How many experts does a token run in each layer?"),
        "busiest_experts": t("Which expert is the busiest of its layer?"),
        "load_by_domain": t("Which experts run for which domain?"),
        "compute_by_domain": t("What does each domain cost in expert compute?"),
        "hours": t("How many requests and decisions came in each hour?"),
        "hungriest_tokens": t("Which tokens run the most experts?"),
        "closest_calls": t("What were the closest calls of each layer?"),
        "expert_pairs": t("Which experts of the first layer run together?"),
        "runs_compared": t("How do the runs compare in budget and compute?"),
    }


def sql_form(ctx: PageContext) -> None:
    """Draw examples and editor; when sent, ask and keep the answer or the reason why there is none."""
    t = ctx.t
    with widgets.card(
        t("Which question?"),
        t("Choose an example or write one SELECT of your own. It can read the log and change nothing."),
        key="sql_form",
    ):
        _example(ctx)
        with st.form("sql_form", border=False):
            sql = st.text_area(t("SQL"), key=TEXT, height=340, max_chars=MOST_CHARACTERS)
            left, right = st.columns([5, 1], vertical_alignment="center")
            left.caption(
                t("At most {rows:,} rows, {seconds:.0f} seconds and {memory} MB of memory.").format(
                    rows=MAX_ROWS, seconds=SECONDS, memory=MEMORY_MB
                )
            )
            with right:
                sent = st.form_submit_button(t("Run"), type="primary", width="stretch", key="sql_run")
    st.session_state[DRAFT] = sql
    if sent:
        with st.spinner(t("Asking the log …")):
            _ask(ctx, str(sql or ""))


def current_answer() -> Answer | None:
    """The last answer of this session."""
    answer: Answer | None = st.session_state.get(ANSWER)
    return answer


def current_error() -> str | None:
    """Why the last question has no answer."""
    error: str | None = st.session_state.get(ERROR)
    return error


def finding(ctx: PageContext, answer: Answer | None) -> str:
    """The title: what came back."""
    t = ctx.t
    if answer is None:
        return t("Ask the log a question of your own")
    rows, seconds = len(answer.result.rows), answer.seconds
    if answer.result.truncated:
        return t("The first {n:,} rows, in {seconds:.1f} seconds").format(n=rows, seconds=seconds)
    if rows == 1:
        return t("One row, in {seconds:.1f} seconds").format(seconds=seconds)
    return t("{n:,} rows, in {seconds:.1f} seconds").format(n=rows, seconds=seconds)


def _example(ctx: PageContext) -> None:
    """The choice of an example; a new choice fills the editor, and a link can name one."""
    labels = {OWN: ctx.t("A question of my own")} | titles(ctx.t)
    if EXAMPLE not in st.session_state and FILLED in st.session_state and "example" not in st.query_params:
        st.session_state[EXAMPLE] = st.session_state[FILLED]  # back from another page: Streamlit forgets its widgets
    chosen = filters.choice(ctx.t("Example question"), [*NAMES, OWN], labels, key=EXAMPLE, parameter="example")
    if st.session_state.get(FILLED) != chosen:
        st.session_state[FILLED] = chosen
        st.session_state[TEXT] = "" if chosen == OWN else stock_question(chosen).sql
    elif TEXT not in st.session_state:
        st.session_state[TEXT] = st.session_state.get(DRAFT, "")


def _ask(ctx: PageContext, sql: str) -> None:
    st.session_state.pop(ANSWER, None)
    st.session_state.pop(ERROR, None)
    try:
        with _seat():
            started = time.perf_counter()
            result = run_select(ctx.store, sql, max_bytes=MAX_BYTES, timeout_seconds=SECONDS, memory_mb=MEMORY_MB)
            seconds = time.perf_counter() - started
    except RouteLensError as error:
        st.session_state[ERROR] = str(error)
    else:
        st.session_state[ANSWER] = Answer(result, result_frame(result), seconds)


@contextmanager
def _seat() -> Iterator[None]:
    """One of the few questions at a time: each may take its share of memory and cores."""
    if not _seats.acquire(timeout=SECONDS):
        raise QueryError("Other questions are being answered on this server; ask again in a moment.")
    try:
        yield
    finally:
        _seats.release()
