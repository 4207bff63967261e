"""Expert specialization: what each expert runs for, as far as it can be found twice."""

import streamlit as st

from moe_core.dashboard import data, specialization_data, specialization_view, widgets
from moe_core.dashboard import specialization_tables as tables
from moe_core.dashboard.context import page_context
from moe_core.dashboard.first_start import first_start
from moe_core.dashboard.refresh import watch
from moe_core.dashboard.specialization_filter import choose_cluster, choose_run
from moe_core.dashboard.specialization_map import cluster_section

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    if not data.has_decisions(ctx):
        watch(ctx)
        first_start(ctx, t("What are the experts for?"))
        st.stop()

    widgets.question(ctx, t("What are the experts for?"), demo=data.has_demo(ctx))
    heading = st.empty()
    widgets.left_out(ctx, data.problems(ctx))
    left, right = st.columns(2)
    with left:
        run_id = choose_run(ctx)
    described = specialization_data.described(ctx, run_id)
    found = described.found
    with heading:
        widgets.title(widgets.literal(found.finding.text(t)))
    clusters = specialization_data.clusters(ctx, run_id)
    with right:
        chosen = choose_cluster(ctx, found, clusters)

    widgets.metric_row(ctx, tables.kpis(ctx, found), key="specialization")
    specialization_view.heatmap(ctx, found, chosen)
    specialization_view.called(ctx, found, chosen)
    cluster_section(ctx, found, clusters, chosen)
    left, right = widgets.chart_columns([1, 1], key="specialization_pairs")
    with left:
        specialization_view.pairs(ctx, described, chosen)
    with right:
        specialization_view.layers(ctx, found, chosen)
    runs = specialization_data.routed_runs(ctx).set_index("run_id")
    specialization_view.training(ctx, str(runs.loc[run_id, "model"]))
    specialization_view.how_to_read(ctx)
    widgets.formulas(ctx, tables.METRICS, key="specialization_formulas")
