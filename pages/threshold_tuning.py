"""Threshold tuning: what a setting costs and saves, which logged answers would change, and policy.toml."""

import streamlit as st

from moe_core.dashboard import resources, tuning_data, tuning_form, tuning_numbers, tuning_view, widgets
from moe_core.dashboard.context import page_context

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    widgets.question(ctx, t("How sparse may the model run before its answers suffer?"))
    heading = st.empty()
    measured = tuning_data.measured(ctx)
    with heading:
        widgets.title(tuning_numbers.finding(ctx, measured))
    with st.spinner(t("Loading the model …")):
        model = resources.model(ctx)
    policy = tuning_form.tuning_form(ctx, model)
    budget = policy.budget or 1.0
    if measured is None:
        with widgets.card(t("Nothing was measured for this model yet"), key="tuning_unmeasured"):
            st.markdown(t("Measure quality, layers and load of this model folder once; the charts then appear here:"))
            st.code(f"routelens evaluate --model {ctx.model}", language="bash")
    else:
        widgets.metric_row(ctx, tuning_numbers.numbers(ctx, measured, budget), key="tuning")
        tuning_view.quality(ctx, measured, budget)
        tuning_view.work(ctx, measured, budget)
    with widgets.error_boundary(ctx):
        tuning_view.logged_requests(ctx, policy)
    with widgets.error_boundary(ctx):
        tuning_form.exchange(ctx, model, policy)
    widgets.formulas(ctx, tuning_numbers.METRICS, key="tuning_formulas")
