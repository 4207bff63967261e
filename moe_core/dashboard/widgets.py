"""The pieces every page is made of: charts, numbers with their n, cards, notes, downloads, the error panel.

The only module that calls `st.plotly_chart`, and the only one that shows an error. Foreign text goes
through `st.text`, `st.code`, `st.metric`'s value or a data frame, never through markdown.
"""

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from moe_core.analysis.metric_info import metric_info
from moe_core.charts.theme import CONFIG
from moe_core.dashboard.context import PageContext
from moe_core.errors import RouteLensError

MOST_PROBLEMS = 5
logger = logging.getLogger(__name__)


def chart(figure: go.Figure, *, key: str, alt: str, on_click: Callable[[], None] | None = None) -> None:
    """Show a Plotly figure with its own theme, without mode bar, with an alternative text. `on_click` runs after a
    click on a point; what was clicked is in the session state under `key`."""
    if on_click is None:
        st.plotly_chart(figure, theme=None, config=CONFIG, key=key, alt=alt)
    else:
        st.plotly_chart(
            figure, theme=None, config=CONFIG, key=key, alt=alt, on_select=on_click, selection_mode="points"
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Number:
    """One number of a metric row. `metric` names its entry in `metric_info`; `basis` says n and interval."""

    metric: str
    value: str
    basis: str
    label: str | None = None


def metric_row(ctx: PageContext, numbers: Sequence[Number], *, key: str) -> None:
    """Cards side by side: a label with its explanation, the number, and what it rests on."""
    row = st.container(key=f"metrics{len(numbers)}_{key}")
    for column, number in zip(row.columns(len(numbers)), numbers, strict=True):
        with column, st.container(key=f"card_{key}_{number.metric}", height="stretch", gap="xsmall"):
            st.metric(
                number.label or ctx.t(metric_info(number.metric).name),
                number.value,
                help=explanation(ctx, number.metric),
            )
            st.caption(number.basis.replace("n = ", "n\u00a0=\u00a0"))


def explanation(ctx: PageContext, metric: str) -> str:
    """A metric's meaning, formula, ideal value and caveat as markdown, from our own texts only."""
    info = metric_info(metric)
    return "\n\n".join(
        (
            ctx.t(info.meaning),
            f"$${info.formula}$$",
            f"**{ctx.t('Ideal')}**: {ctx.t(info.ideal)}",
            f"**{ctx.t('Caveat')}**: {ctx.t(info.caveat)}",
        )
    )


def formulas(ctx: PageContext, metrics: Sequence[str], *, key: str) -> None:
    """All formulas of a page, on screen: one row per metric with meaning, formula, ideal value, caveat, source."""
    with st.expander(ctx.t("What the numbers mean: formulas, ideal values, caveats"), key=key):
        for metric in metrics:
            info = metric_info(metric)
            left, middle, right = st.columns([2, 4, 4], vertical_alignment="center")
            left.markdown(f"**{ctx.t(info.name)}**")
            left.caption(ctx.t(info.unit))
            middle.latex(info.formula)
            right.markdown(ctx.t(info.meaning))
            right.caption(f"{ctx.t(info.ideal)} {ctx.t(info.caveat)} {ctx.t('Source')}: {ctx.t(info.source)}")


@contextmanager
def card(title: str, caption: str | None = None, *, key: str) -> Iterator[None]:
    """A card whose title is a plain question and whose caption says measure and unit."""
    with st.container(key=f"card_{key}", height="stretch"):
        st.header(title, anchor=False)
        if caption:
            st.caption(caption)
        yield


def chart_card(
    ctx: PageContext,
    draw: Callable[..., go.Figure],
    alt: Callable[..., str],
    frame: pd.DataFrame,
    *,
    title: str,
    caption: str,
    key: str,
    note: str | None = None,
    on_click: Callable[[], None] | None = None,
) -> None:
    """A card with one chart, drawn in the visitor's language and theme, and a note on how to read it; `on_click` as in
    `chart`."""
    with card(title, caption, key=key):
        chart(draw(frame, t=ctx.t, dark=ctx.dark), key=f"{key}_chart", alt=alt(frame, t=ctx.t), on_click=on_click)
        if note:
            st.caption(f"{ctx.t('How to read it')}: {note}")


def chart_columns(widths: Sequence[float], *, key: str) -> Sequence[DeltaGenerator]:
    """Columns for chart cards; on a narrow window they stand one below the other."""
    return st.container(key=f"charts_{key}").columns(widths)


def literal(text: str) -> str:
    """A sentence with foreign names in it as markdown that shows it letter by letter: no link, image or formula."""
    safe = re.sub(r"[\\`*_\[\]<>$~#|!]", r"\\\g<0>", text)
    return safe.replace("://", "\\:\\/\\/").replace("www.", "www\\.")


def title(text: str) -> None:
    """The page's heading: a finding made of our own words and numbers."""
    st.title(text, anchor=False)


def question(ctx: PageContext, text: str, *, demo: bool = False) -> None:
    """The page's question in one sentence, with the badge that marks demo data."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="eyebrow", width="content"):
        st.markdown(text, width="content")
        if demo:
            with st.container(key="badge_demo", width="content"):
                st.markdown(ctx.t("Includes demo data"), width="content")


def table(
    frame: pd.DataFrame, *, key: str, height: int | Literal["content"] | None = None, wide: Sequence[str] = ()
) -> None:
    """A plain table; cells are shown as text. Beyond ten rows it scrolls, unless its height is that of its content."""
    st.dataframe(
        frame,
        key=key,
        hide_index=True,
        column_config=number_formats(frame) | {name: st.column_config.TextColumn(width=260) for name in wide},
        height=height or "auto",
        placeholder="—",
    )


def choose_row(frame: pd.DataFrame, *, key: str, height: int, wide: Sequence[str] = ()) -> int | None:
    """A table of which one row can be chosen -> its place, or None."""
    state = st.dataframe(
        frame,
        key=key,
        hide_index=True,
        column_config=number_formats(frame) | {name: st.column_config.TextColumn(width=260) for name in wide},
        height=height,
        placeholder="—",
        on_select="rerun",
        selection_mode="single-row",
    )
    rows = list(state.selection.rows)
    return int(rows[0]) if rows and rows[0] < len(frame) else None


def number_formats(frame: pd.DataFrame) -> dict[str, Any]:
    """Thousands separators for whole numbers; the same number of decimals in all rows of a column."""
    formats: dict[str, Any] = {}
    for column in frame.columns:
        if pd.api.types.is_integer_dtype(frame[column]):
            formats[str(column)] = st.column_config.NumberColumn(format="localized")
        elif pd.api.types.is_float_dtype(frame[column]):
            formats[str(column)] = st.column_config.NumberColumn(format=f"%.{decimals(frame[column])}f")
    return formats


def decimals(values: "pd.Series[float]", most: int = 4) -> int:
    """The number of decimals that shows every value of a rounded column in full."""
    known = values.dropna()
    return next((k for k in range(most) if bool(((known - known.round(k)).abs() < 1e-9).all())), most)


def left_out(ctx: PageContext, problems: Sequence[str]) -> None:
    """A notice that the numbers of the page miss something, with the reasons as plain text."""
    if not problems:
        return
    with st.container(key="card_left_out", gap="xsmall"):
        st.markdown(f"**{ctx.t('Parts of the log cannot be trusted or read, and are left out of all numbers')}**")
        for line in problems[:MOST_PROBLEMS]:
            st.text(line)
        if len(problems) > MOST_PROBLEMS:
            st.caption(ctx.t("and {n:,} more").format(n=len(problems) - MOST_PROBLEMS))


def incomplete(ctx: PageContext, runs: pd.DataFrame) -> None:
    """A notice of requests that were answered but never recorded; `runs` as `queries.list_runs`."""
    lacking = runs[runs["unrecorded_requests"] > 0].set_index("run_id")
    if lacking.empty:
        return
    with st.container(key="card_incomplete", gap="xsmall"):
        st.markdown(f"**{ctx.t('Runs that are incomplete: their log could not keep up, and was told not to wait')}**")
        sentence = ctx.t("{requests:,} requests with {decisions:,} decisions were answered and are not recorded: {run}")
        for run in lacking.head(MOST_PROBLEMS).itertuples():
            st.text(
                sentence.format(requests=run.unrecorded_requests, decisions=run.unrecorded_decisions, run=run.Index)
            )
        if len(lacking) > MOST_PROBLEMS:
            st.caption(ctx.t("and {n:,} more").format(n=len(lacking) - MOST_PROBLEMS))


def csv_download(ctx: PageContext, frame: pd.DataFrame, *, file_name: str, key: str) -> None:
    """A button that saves the frame as UTF-8 CSV."""
    st.download_button(
        ctx.t("Download CSV"),
        csv_bytes(frame),
        file_name=file_name,
        mime="text/csv",
        key=key,
        on_click="ignore",
        icon=":material/download:",
    )


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """CSV with a byte-order mark, so that spreadsheets read Japanese; text cells cannot start a formula."""
    safe = frame.copy()
    for column in safe.columns:
        if not (pd.api.types.is_numeric_dtype(safe[column]) or pd.api.types.is_datetime64_any_dtype(safe[column])):
            safe[column] = [defuse(value) for value in safe[column]]
    text: str = safe.to_csv(index=False)
    return text.encode("utf-8-sig")


def defuse(value: object) -> object:
    """A text that a spreadsheet would run as a formula, with a quote before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


@contextmanager
def error_boundary(ctx: PageContext, *, whole_page: bool = False) -> Iterator[None]:
    """Show an error as a panel: ours with its own sentence, any other with a number to find it in the log."""
    try:
        yield
    except RouteLensError as error:
        error_panel(ctx, str(error), whole_page=whole_page)
    except Exception:
        reference = uuid4().hex[:8]
        logger.exception("page failed, reference %s", reference)
        error_panel(
            ctx,
            ctx.t(
                "Something went wrong that RouteLens did not expect. The server's log has the details under {ref}."
            ).format(ref=reference),
            whole_page=whole_page,
        )


def error_panel(ctx: PageContext, message: str, *, whole_page: bool) -> None:
    """One panel: a heading in the visitor's language and the message as plain text."""
    if whole_page:
        title(ctx.t("This page cannot be shown"))
    with st.container(key="card_error" + ("_page" if whole_page else "")):
        st.header(ctx.t("This did not work"), anchor=False)
        st.text(message)


def percent(value: float | None, digits: int = 0) -> str:
    """0.473 -> 47%; an em dash where nothing was measured."""
    return "—" if value is None else f"{value:.{digits}%}"


def milliseconds(value: float | None) -> str:
    """12.34 -> 12.3 ms; an em dash where nothing was measured."""
    if value is None or value != value:
        return "—"
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms"
