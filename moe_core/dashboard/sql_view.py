"""The answer of the SQL page as table, files and chart, and what can be asked.

Every cell and every name of a column may be foreign text: they are shown in data frames, select boxes and figures only.
"""

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from moe_core.charts import query_result as charts
from moe_core.dashboard import widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.log_schema import RELATIONS, Relation
from moe_core.dashboard.sql_form import MAX_BYTES, Answer
from moe_core.log.result_file import parquet_file

NO_COLOUR = ""
TALLEST = 420  # pixels of the table of an answer


def error(ctx: PageContext, reason: str) -> None:
    """Why there is no answer: our words in the visitor's language, DuckDB's in English."""
    widgets.error_panel(ctx, reason, whole_page=False)
    st.caption(ctx.t("The log is unchanged. Mend the statement and run it again."))


def answer_card(ctx: PageContext, answer: Answer) -> None:
    """The rows as a table, with what was cut and the two files."""
    t, result = ctx.t, answer.result
    with widgets.card(t("What does the log answer?"), _size(ctx, answer), key="sql_answer"):
        st.dataframe(
            answer.frame,
            key="sql_table",
            hide_index=True,
            height=TALLEST if len(result.rows) > 10 else "auto",
            column_config=_formats(answer),
            placeholder="—",
        )
        with st.container(horizontal=True, gap="small"):
            for name, mime, make in (
                ("csv", "text/csv", partial(widgets.csv_bytes, answer.frame)),
                ("parquet", "application/vnd.apache.parquet", partial(parquet_file, result)),
            ):
                st.download_button(
                    t("Download CSV") if name == "csv" else t("Download Parquet"),
                    make,
                    file_name=f"answer.{name}",
                    mime=mime,
                    key=f"sql_{name}",
                    on_click="ignore",
                    icon=":material/download:",
                )


def chart_card(ctx: PageContext, answer: Answer) -> None:
    """The rows as a chart whose axes can be chosen; nothing where there is no number."""
    t, frame = ctx.t, answer.frame
    first = charts.suggested(frame)
    if first is None:
        return
    kinds = {"bar": t("Bars"), "line": t("Line"), "scatter": t("Points")}
    with widgets.card(t("What does it look like?"), key="sql_chart"):
        left, second, third, right = st.columns([2, 3, 3, 3])
        with left:
            kind = _pick(t("Chart"), list(charts.KINDS), first.kind, "kind", answer, kinds)
        with second:
            x = _pick(t("Along the axis"), list(frame.columns), first.x, "x", answer)
        with third:
            y = _pick(t("Upwards"), charts.measures(frame), first.y, "y", answer)
        with right:
            colours = {NO_COLOUR: t("None")}
            colour = _pick(
                t("Colour"), [NO_COLOUR, *frame.columns], first.colour or NO_COLOUR, "colour", answer, colours
            )
        choice = charts.Choice(kind=kind, x=x, y=y, colour=colour or None)  # type: ignore[arg-type]
        widgets.chart(
            charts.query_result(frame, choice=choice, t=t, dark=ctx.dark),
            key="sql_chart_figure",
            alt=charts.query_result_alt(frame, choice=choice, t=t),
        )
        shown = len(charts.drawn(frame, choice))
        if shown < len(frame):
            st.caption(t("The first {n:,} rows that have a number").format(n=shown))
        if charts.stacked(frame, choice):
            st.caption(t("Several rows have the same place and colour: their bars are stacked."))


def schema_card(ctx: PageContext) -> None:
    """The relations, and the name, type and meaning of their columns."""
    t = ctx.t
    with widgets.card(
        t("What can be asked?"),
        t("Four relations. Times are UTC; layers, experts, positions and ranks count from 0."),
        key="sql_schema",
    ):
        for tab, relation in zip(st.tabs([relation.name for relation in RELATIONS]), RELATIONS, strict=True):
            with tab:
                st.caption(t(relation.meaning))
                widgets.table(_columns(ctx, relation), key=f"sql_schema_{relation.name}", height="content")


def _columns(ctx: PageContext, relation: Relation) -> pd.DataFrame:
    t = ctx.t
    return pd.DataFrame(
        {
            t("Column"): [column.name for column in relation.columns],
            t("Type"): [column.type for column in relation.columns],
            t("Meaning"): [t(column.meaning) for column in relation.columns],
        }
    )


def _size(ctx: PageContext, answer: Answer) -> str:
    """Rows, columns and time; and that there is more, where there is."""
    t, result = ctx.t, answer.result
    words = {"n": len(result.rows), "columns": len(result.columns), "seconds": answer.seconds, "mb": MAX_BYTES // 10**6}
    if result.cut_by == "rows":
        return t("Cut after {n:,} rows of {columns} columns, {seconds:.2f} s; count or group to see all.").format(
            **words
        )
    if result.cut_by == "bytes":
        return t("Cut after {n:,} rows of {columns} columns, {seconds:.2f} s: more than {mb} MB; ask for less.").format(
            **words
        )
    return t("Rows: {n:,}; columns: {columns}; {seconds:.2f} s").format(**words)


def _formats(answer: Answer) -> dict[str, Any]:
    """Whole numbers without separators, since they may be ids; others with 8 digits; days without a time."""
    frame = answer.frame
    formats: dict[str, Any] = {
        name: st.column_config.NumberColumn(format="%d" if pd.api.types.is_integer_dtype(frame[name]) else "%.8g")
        for name in charts.measures(frame)
    }
    for name, kind in zip(frame.columns, answer.result.types, strict=True):
        if kind == "DATE" and pd.api.types.is_datetime64_any_dtype(frame[name]):
            formats[name] = st.column_config.DateColumn()
    return formats


def _pick(
    label: str, options: list[str], first: str, part: str, answer: Answer, labels: dict[str, str] | None = None
) -> str:
    """A select box that starts anew with every set of columns."""
    names = labels or {}
    key = f"sql_chart_{part}_{hash((*answer.frame.columns, *answer.result.types)):x}"
    picked = st.selectbox(
        label, options, index=options.index(first), format_func=lambda option: names.get(option, option), key=key
    )
    return str(picked)
