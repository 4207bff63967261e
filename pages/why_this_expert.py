"""Why this expert: one decision, what it is made of, what would turn it, and which words it hangs on."""

import streamlit as st

from moe_core.dashboard import data, resources, why_replay, why_run, why_view, widgets
from moe_core.dashboard.context import page_context
from moe_core.dashboard.why_choice import choose_decision, routed
from moe_core.dashboard.why_form import choose_source
from moe_core.dashboard.why_words import words_panel

ctx = page_context()
t = ctx.t
with widgets.error_boundary(ctx, whole_page=True):
    asked = t("Why did this expert run for this token, and what would have turned the decision?")
    widgets.question(ctx, asked, demo=data.has_demo(ctx))
heading = st.empty()
with heading:
    widgets.title(t("Why this expert?"))
with widgets.error_boundary(ctx):
    with st.spinner(t("Loading the model …")):
        resources.model(ctx)
    source = choose_source(ctx)
    if source is None:
        st.stop()
    choice = choose_decision(ctx, source, routed(ctx, source))
    decision = why_run.explanation(ctx, source, choice)
    with heading:
        widgets.title(why_view.finding(ctx, decision))

    widgets.metric_row(ctx, why_view.why_numbers(ctx, decision), key="why")
    said = why_view.paragraph_card(ctx)
    why_view.say(ctx, said, decision, None)
    why_view.decision_charts(ctx, decision)
    with widgets.error_boundary(ctx):
        words = why_run.words(ctx, source, choice)
        why_view.say(ctx, said, decision, words)
        words_panel(ctx, source, choice, words)
    why_replay.replay_card(ctx, source, choice)
    why_view.tables(ctx, decision)
    widgets.formulas(ctx, why_view.METRICS, key="why_formulas")
