"""Live inference: one text through the adaptive model and the dense original, with every decision."""

import streamlit as st

from moe_core.dashboard import live_form, numbers, widgets
from moe_core.dashboard.context import PAGES, page_context
from moe_core.dashboard.routing_view import routing_view

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    widgets.question(ctx, t("What does the model answer, at what cost, and which experts ran for which token?"))
    heading = st.empty()
    with widgets.error_boundary(ctx):
        live_form.live_form(ctx)
    result = live_form.current_result()
    with heading:
        widgets.title(t("Type a text and see every decision") if result is None else live_form.finding(ctx, result))
    if result is None:
        st.caption(t("The text stays on this machine."))
        st.stop()

    widgets.metric_row(ctx, numbers.live_numbers(ctx, result), key="live")
    if result.recorded:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="inline_code_live"):
            st.caption(t("Recorded as"), width="content")
            st.code(result.answer_id, language=None, width="content")
            st.page_link(
                PAGES / "audit_log.py",
                label=t("Open in the audit log"),
                icon=":material/fact_check:",
                query_params={"request": result.answer_id, "lang": ctx.lang},
            )
    else:
        st.caption(t("Not recorded: recording is switched off."))
    routing_view(
        ctx,
        result.trace,
        n_layers=result.n_layers,
        n_experts=result.n_experts,
        key="live",
        request=result.answer_id,
        run_id=result.run_id,
        recorded=result.recorded,
    )
    widgets.formulas(ctx, numbers.LIVE_METRICS, key="live_formulas")
