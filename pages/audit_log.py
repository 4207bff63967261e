"""Audit log: find a request, see its decisions, check that nothing was changed."""

import streamlit as st

from moe_core.dashboard import audit, data, numbers, widgets
from moe_core.dashboard.context import page_context
from moe_core.dashboard.first_start import first_start
from moe_core.dashboard.refresh import watch

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    watch(ctx)
    if not data.has_requests(ctx):
        first_start(ctx, t("Which decisions are on record?"))
        st.stop()

    widgets.question(ctx, t("What was decided for a request, and is the record unchanged?"), demo=data.has_demo(ctx))
    widgets.title(audit.finding(ctx))
    widgets.left_out(ctx, data.problems(ctx))
    widgets.incomplete(ctx, data.runs(ctx))
    audit.verification(ctx)
    request_id = audit.find_request(ctx)
    if request_id is None:
        widgets.formulas(ctx, numbers.LOG_METRICS, key="audit_formulas")
        st.stop()
    with widgets.error_boundary(ctx):
        audit.show_request(ctx, request_id)
    widgets.formulas(ctx, numbers.LOG_METRICS, key="audit_formulas")
