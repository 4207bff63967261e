"""Counterfactual lab: change one word and see which decisions and which answer change."""

import streamlit as st

from moe_core.dashboard import counterfactual_form, widgets
from moe_core.dashboard.context import page_context
from moe_core.dashboard.counterfactual_view import METRICS, lab_numbers, lab_view

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    widgets.question(ctx, t("If one word were different, would other experts run, and would the answer change?"))
    heading = st.empty()
    with widgets.error_boundary(ctx):
        counterfactual_form.lab_form(ctx)
    result = counterfactual_form.current_result()
    with heading:
        widgets.title(t("Change one word") if result is None else counterfactual_form.finding(ctx, result))
    if result is None:
        st.caption(t("Both texts stay on this machine, and nothing is recorded."))
        st.stop()

    widgets.metric_row(ctx, lab_numbers(ctx, result), key="lab")
    lab_view(ctx, result)
    widgets.formulas(ctx, METRICS, key="lab_formulas")
