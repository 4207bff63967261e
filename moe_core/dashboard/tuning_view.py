"""The parts of the tuning page below the form: what was measured, and what the log would look like at this setting."""

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from moe_core.analysis import tuning
from moe_core.charts import tuning as charts
from moe_core.charts.theme import spoken
from moe_core.dashboard import data, resources, tuning_data, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.what_if import MOST_TEXTS, WhatIf, what_if

if TYPE_CHECKING:
    from moe_core.model.policy import Policy

RESULT = "tuning_what_if"


def quality(ctx: PageContext, measured: tuning.Measurements, budget: float) -> None:
    """Quality against compute, over all tasks or for one; and the same as numbers."""
    t = ctx.t
    names = {tuning.ALL_TASKS: t("Mean over the shipped tasks")} | {n: spoken(n, t) for n in measured.tasks}
    with widgets.card(
        t("What does less compute cost in quality?"),
        t("Change of accuracy against the dense original, in points, on labelled held-out text; bars: 95% intervals"),
        key="tuning_quality",
    ):
        task = st.selectbox(t("Task"), list(names), format_func=lambda n: names.get(n, n), key="tuning_task")
        rows = tuning.of_task(measured.quality, task or tuning.ALL_TASKS)
        nearest = min(measured.budgets, key=lambda b: abs(b - budget), default=None)
        draw = partial(charts.quality_by_compute, chosen=nearest)
        widgets.chart(draw(rows, t=t, dark=ctx.dark), key="tuning_quality_chart",
                      alt=charts.quality_by_compute_alt(rows, t=t))  # fmt: skip
        st.caption(
            t("The ring marks the measured point nearest to the chosen budget. Measured {made} on {machine}.").format(
                made=measured.made[:10], machine=measured.machine
            )
        )
    with widgets.card(t("The points as numbers"), t("One row per task, rule and budget"), key="tuning_numbers"):
        table = quality_table(ctx, measured.quality)
        widgets.table(table, key="tuning_numbers_table", height=320)
        widgets.csv_download(ctx, table, file_name="quality.csv", key="tuning_numbers_download")


def quality_table(ctx: PageContext, quality: pd.DataFrame) -> pd.DataFrame:
    """The measured points with translated headings."""
    t = ctx.t
    rules = {"adaptive": t("Adaptive"), "topk": t("Fixed top-k")}
    return pd.DataFrame(
        {
            t("Task"): [spoken(name, t) for name in quality["task"]],
            t("Rule"): [rules.get(rule, rule) for rule in quality["rule"]],
            t("Budget"): quality["budget"],
            t("Expert compute"): quality["active_fraction"].round(3),
            t("FLOPs vs dense"): quality["flops_ratio"].round(3),
            t("Accuracy"): quality["accuracy"].round(4),
            t("Points against dense"): quality["delta"].round(2),
            t("95% from"): quality["low"].round(2),
            t("95% to"): quality["high"].round(2),
            t("Calibration error"): quality["error"].round(3),
            "n": quality["n"],
        }
    )


def work(ctx: PageContext, measured: tuning.Measurements, budget: float) -> None:
    """Layers, wall time and domains."""
    t = ctx.t
    wall, threads = tuning.wall_with_most_threads(measured.wall)
    left, right = widgets.chart_columns([1, 1], key="tuning_work")
    with left:
        widgets.chart_card(
            ctx,
            charts.layers_by_budget,
            charts.layers_by_budget_alt,
            measured.layers,
            title=t("Which layers work at which budget?"),
            caption=t("Share of the experts that run, by layer and budget, on held-out text"),
            key="tuning_layers",
        )
    with right:
        widgets.chart_card(
            ctx,
            charts.wall_by_budget,
            charts.wall_by_budget_alt,
            wall,
            title=t("Does it save time too?"),
            caption=t("Median wall time, dense original = 1, threads: {n}; lower is faster").format(n=threads),
            key="tuning_wall",
        )
    widgets.chart_card(
        ctx,
        charts.domains_that_pay,
        charts.domains_that_pay_alt,
        tuning.domains_at(tuning_data.dial(ctx), budget),
        title=t("Which kinds of text pay for it?"),
        caption=t(
            "Held-out kinds of text (number of texts), furthest from dense first, at the point nearest to the budget"
        ),
        key="tuning_domains",
    )


def logged_requests(ctx: PageContext, policy: "Policy") -> None:
    """Answer the newest logged texts at this setting, on request, and show whose answer changes."""
    t = ctx.t
    with widgets.card(
        t("Which logged answers would change?"),
        t("The newest {n} logged texts, answered again at this setting; nothing is recorded.").format(n=MOST_TEXTS),
        key="tuning_log",
    ):
        if not data.has_requests(ctx):
            st.caption(t("Nothing has been recorded in this store yet"))
            return
        if st.button(t("Answer them again"), key="tuning_try"):
            _try(ctx, policy)
        _result(ctx, policy)


def _try(ctx: PageContext, policy: "Policy") -> None:
    logged = data.newest_answers(ctx, MOST_TEXTS)
    if logged.empty:
        st.session_state.pop(RESULT, None)
        st.caption(ctx.t("No logged request of this model has both text and answer."))
        return
    with st.spinner(ctx.t("Running the model …")):
        model = resources.model(ctx)
        with resources.inference():
            st.session_state[RESULT] = (policy, what_if(model, logged, policy, str(logged["head"].iloc[0])))


def _result(ctx: PageContext, policy: "Policy") -> None:
    t = ctx.t
    if RESULT not in st.session_state:
        return
    tried, result = st.session_state[RESULT]
    if tried != policy:
        st.caption(t("The setting has changed since: answer them again."))
        return
    st.markdown(summary(ctx, result))
    if len(result.changed):
        widgets.table(
            result.changed.rename(
                columns={"request_id": t("Request"), "text": t("Text"), "logged": t("Logged answer"),
                         "new": t("New answer"), "lead": t("Lead"), "tokens": t("Tokens")}
            ).round({t("Lead"): 3}),
            key="tuning_changed",
            wide=[t("Text")],
        )  # fmt: skip


def summary(ctx: PageContext, result: WhatIf) -> str:
    """How many answers change, with interval, and what the setting costs."""
    low, high = result.interval
    return ctx.t(
        "**{changed:,} of {n:,}** answers change ({share:.1%}; 95% interval {low:.1%} to {high:.1%}), {again:,} were "
        "run again; all passes together need {flops:.0%} of the dense original's FLOPs."
    ).format(
        changed=len(result.changed), n=result.n, share=result.share, low=low, high=high, again=result.run_again,
        flops=result.flops / result.flops_dense if result.flops_dense else 0.0,
    )  # fmt: skip
