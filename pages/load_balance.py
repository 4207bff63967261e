"""Load balance: how evenly the tokens of each layer are spread over its experts."""

import streamlit as st

from moe_core.charts import load_balance
from moe_core.dashboard import data, expert_link, filters, numbers, widgets
from moe_core.dashboard.context import page_context
from moe_core.dashboard.first_start import first_start
from moe_core.dashboard.layer_card import layer_card
from moe_core.dashboard.refresh import watch

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    watch(ctx)
    if not data.has_requests(ctx):
        first_start(ctx, t("How evenly is the work spread over the experts?"))
        st.stop()

    widgets.question(ctx, t("How evenly is the work of each layer spread over its experts?"), demo=data.has_demo(ctx))
    heading = st.empty()
    widgets.left_out(ctx, data.problems(ctx))
    run_id, domain = filters.balance_filters(ctx)
    balance = data.balance(ctx, run_id, domain)
    with heading:
        widgets.title(
            t("No decision in this selection") if balance.summary is None else balance.summary.finding.text(t)
        )
    if balance.summary is None:
        st.caption(t("Choose another run or domain; the dense original decides nothing."))
        st.stop()

    widgets.metric_row(ctx, numbers.balance_numbers(ctx, balance.summary), key="load")
    widgets.chart_card(
        ctx,
        load_balance.load_heatmap,
        load_balance.load_heatmap_alt,
        balance.experts,
        title=t("Which experts are busy, cold or unused?"),
        caption=numbers.load_caption(ctx, balance.summary),
        note=t("Orange runs more often than an equal share, blue less; 0: unused. Click an expert for its card."),
        key="load_map",
        on_click=expert_link.nothing,
    )
    expert_link.follow_click("load_map_chart", run_id)
    left, right = widgets.chart_columns([1, 1], key="load")
    with left:
        layer_card(ctx, balance)
    with right:
        widgets.chart_card(
            ctx,
            load_balance.evenness_by_layer,
            load_balance.evenness_by_layer_alt,
            balance.layers,
            title=t("Which layer is most uneven?"),
            caption=t("Entropy: 1 = even; Gini: 0 = even; n = {n:,} tokens").format(n=balance.summary.tokens),
            key="load_layers",
        )
    with widgets.card(
        t("The layers as numbers"),
        t("All measures by layer, each over the tokens (n) of that layer"),
        key="load_layer_numbers",
    ):
        widgets.table(numbers.layer_table(ctx, balance.layers), key="load_layer_table")
    with widgets.card(
        t("The experts as numbers"),
        t("Load and gate mass of every expert, and what its sample size allows to say"),
        key="load_expert_numbers",
    ):
        experts = numbers.expert_table(ctx, balance.experts)
        expert_link.card_rows(ctx, experts, balance.experts, run_id, key="load_expert_table", wide=[t("State")])
        widgets.csv_download(ctx, experts, file_name="experts.csv", key="load_download")
    widgets.formulas(ctx, numbers.LOAD_METRICS, key="load_formulas")
