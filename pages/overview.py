"""Overview: what has run, what it cost against the dense original, and where the work went."""

import streamlit as st

from moe_core.charts import load_balance, overview
from moe_core.dashboard import data, numbers, presentation, widgets
from moe_core.dashboard.context import page_context
from moe_core.dashboard.first_start import first_start
from moe_core.dashboard.refresh import watch

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    watch(ctx)
    view = data.overview_data(ctx) if data.has_requests(ctx) else None
    if view is None:
        first_start(ctx, t("What does the sparse model do, and what does it save?"))
        st.stop()

    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        widgets.question(ctx, t("What does the sparse model save against the dense original?"), demo=view.model.demo)
        large = st.toggle(t("Presentation mode"), key="overview_presentation")
    widgets.title(view.finding.text(t))
    widgets.left_out(ctx, data.problems(ctx))
    if large:
        presentation.presentation(ctx, view)
        st.stop()

    widgets.metric_row(ctx, numbers.overview_numbers(ctx, view), key="overview")
    wide, narrow = widgets.chart_columns([3, 2], key="overview_first")
    with wide:
        widgets.chart_card(
            ctx,
            load_balance.load_heatmap,
            load_balance.load_heatmap_alt,
            view.experts,
            title=t("Where does the work go?"),
            caption=numbers.load_caption(ctx, view.balance),
            note=t("Orange runs more often than an equal share, blue less; 0 marks an unused expert."),
            key="overview_load",
        )
    with narrow:
        presentation.domain_card(ctx, view.domains)
    narrow, wide = widgets.chart_columns([2, 3], key="overview_second")
    with narrow:
        widgets.chart_card(
            ctx,
            overview.active_experts,
            overview.active_experts_alt,
            view.active,
            title=t("How different are the tokens?"),
            caption=t("Share of token-layer pairs by number of experts run"),
            key="overview_active",
        )
    with wide:
        widgets.chart_card(
            ctx,
            overview.agreement_by_budget,
            overview.agreement_by_budget_alt,
            view.agreements,
            title=t("Do the answers stay the same?"),
            caption=t("Texts with the same label as the dense original, by budget; bars are 95% intervals"),
            key="overview_agreement",
        )
    with widgets.card(t("What has run?"), t("All settings of this model, as numbers"), key="overview_settings"):
        settings = numbers.settings_table(ctx, view.settings)
        widgets.table(settings, key="overview_settings_table")
        widgets.csv_download(ctx, settings, file_name="settings.csv", key="overview_download")
    widgets.formulas(ctx, numbers.OVERVIEW_METRICS, key="overview_formulas")
