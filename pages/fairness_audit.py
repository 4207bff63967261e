"""Bias and fairness audit: are groups of requests routed, charged or answered differently?"""

import streamlit as st

from moe_core.dashboard import data, fairness_form, fairness_method, fairness_verdicts, fairness_view, widgets
from moe_core.dashboard.context import page_context
from moe_core.dashboard.first_start import first_start
from moe_core.dashboard.refresh import watch

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    if not data.has_decisions(ctx):
        watch(ctx)
        first_start(ctx, t("Are groups routed, charged or answered differently?"))
        st.stop()

    audited, reason = None, None
    heading = st.container()
    stamped = st.container()
    with widgets.error_boundary(ctx):
        fairness_form.fairness_form(ctx)
        audited, reason = fairness_form.current(ctx), fairness_form.current_error()
    demo = data.has_demo(ctx) if audited is None else audited.record.demo
    with heading:
        widgets.question(ctx, t("Are groups routed, charged or answered differently?"), demo=demo)
        first = t("Choose groups, then run the audit")
        widgets.title(first if audited is None else fairness_verdicts.finding(ctx, audited))
        widgets.left_out(ctx, data.problems(ctx))
    if reason is not None:
        widgets.error_panel(ctx, reason, whole_page=False)
    if audited is None:
        st.caption(t("Three verdicts will stand here, for routing, compute and outcome; they are never merged."))
        st.stop()

    with stamped:
        fairness_verdicts.stamp(ctx, audited)
    with st.container(key="fairness_result"):
        fairness_verdicts.notices(ctx, audited)
        fairness_verdicts.who(ctx, audited)
        fairness_verdicts.verdicts(ctx, audited)
        fairness_view.routing(ctx, audited)
        fairness_view.tables(ctx, audited)
        fairness_view.over_time(ctx, audited)
        left, right = widgets.chart_columns([1, 1], key="fairness_method")
        with left:
            fairness_method.self_tests(ctx, audited)
        with right:
            fairness_method.limits(ctx, audited)
        fairness_view.downloads(ctx, audited)
    widgets.formulas(ctx, fairness_verdicts.METRICS, key="fairness_formulas")
