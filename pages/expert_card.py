"""Expert card: what one expert of a run does, and what breaks without it."""

import streamlit as st

from moe_core.dashboard import data, expert_data, expert_tables, expert_view, widgets
from moe_core.dashboard.context import page_context
from moe_core.dashboard.first_start import first_start
from moe_core.dashboard.refresh import watch

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    if not data.has_decisions(ctx):
        watch(ctx)
        first_start(ctx, t("What does one expert do?"))
        st.stop()

    heading = st.container()
    widgets.left_out(ctx, data.problems(ctx))
    run_id, layer, expert = expert_view.choose_expert(ctx)
    card = expert_data.card(ctx, run_id, layer, expert)
    with heading:
        question = t("What does this expert do, and what breaks without it?")
        widgets.question(ctx, question, demo=expert_data.is_demo(ctx, run_id))
        widgets.title(card.finding.text(t))
    widgets.metric_row(ctx, expert_tables.kpis(ctx, card), key="expert")
    expert_view.loss(ctx, card)
    left, right = widgets.chart_columns([1, 1], key="expert_where")
    with left:
        expert_view.domains(ctx, card)
    with right:
        expert_view.partners(ctx, card)
    expert_view.tokens(ctx, card)
    expert_view.over_time(ctx, card)
    expert_view.requests(ctx, card)
    widgets.formulas(ctx, expert_tables.METRICS, key="expert_formulas")
