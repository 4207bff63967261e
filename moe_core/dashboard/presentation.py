"""Presentation mode of the overview: three sentences in large type, each with the measured figure behind it."""

import pandas as pd
import streamlit as st

from moe_core.analysis.statements import Statement
from moe_core.charts import overview
from moe_core.dashboard import widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.data import Overview


def presentation(ctx: PageContext, view: Overview) -> None:
    """One full-width card per sentence; a sentence without a measurement says so, and what would support it.
    Then one picture."""
    for statement in view.statements:
        with st.container(key=f"card_statement_{statement.key}"):
            st.header(ctx.t(statement.sentence), anchor=False)
            left, right = st.columns([1, 1], vertical_alignment="center", gap="large")
            with left:
                _figures(ctx, statement)
            with right:
                _evidence(ctx, statement)
    domain_card(ctx, view.domains)


def domain_card(ctx: PageContext, domains: pd.DataFrame) -> None:
    """The picture of the overview and of the presentation: what each domain costs."""
    widgets.chart_card(
        ctx,
        overview.cost_by_domain,
        overview.cost_by_domain_alt,
        domains,
        title=ctx.t("Which kind of text costs most?"),
        caption=ctx.t("Expert compute by domain (number of requests), % of the dense original"),
        key="overview_domains",
    )


def _figures(ctx: PageContext, statement: Statement) -> None:
    if not statement.supported:
        with st.container(key=f"statement_open_{statement.key}"):
            st.markdown(ctx.t("Not supported by a measurement yet"))
        return
    for column, figure in zip(st.columns(len(statement.figures)), statement.figures, strict=True):
        with column, st.container(key=f"statement_figure_{statement.key}_{statement.figures.index(figure)}", gap=None):
            st.markdown(figure.value.text(ctx.t))
            st.caption(figure.label.text(ctx.t))


def _evidence(ctx: PageContext, statement: Statement) -> None:
    t = ctx.t
    st.caption(statement.evidence.text(t))
    if statement.next_step is not None:
        st.caption(f"{t('What would support it')}: {statement.next_step.text(t)}")
    st.caption(f"{t('What it does not show')}: {statement.limits.text(t)}")
