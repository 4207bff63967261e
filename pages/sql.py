"""SQL: any question to the log, as table, chart and file."""

import streamlit as st

from moe_core.dashboard import data, sql_form, sql_view, widgets
from moe_core.dashboard.context import page_context
from moe_core.dashboard.first_start import first_start
from moe_core.dashboard.refresh import watch

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    if not data.has_requests(ctx):
        watch(ctx)
        first_start(ctx, t("What would you like to ask the log?"))
        sql_view.schema_card(ctx)
        st.stop()

    widgets.question(ctx, t("What would you like to know that no other page shows?"), demo=data.has_demo(ctx))
    heading = st.empty()
    widgets.left_out(ctx, data.problems(ctx))
    sql_form.sql_form(ctx)
    answer, reason = sql_form.current_answer(), sql_form.current_error()
    with heading:
        widgets.title(sql_form.finding(ctx, answer))
    if reason is not None:
        sql_view.error(ctx, reason)
    if answer is not None:
        sql_view.answer_card(ctx, answer)
        with widgets.error_boundary(ctx):
            sql_view.chart_card(ctx, answer)
    sql_view.schema_card(ctx)
