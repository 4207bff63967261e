"""The form of the counterfactual lab: a text, its edited twin, neutral words; runs both when it is sent."""

import math

import streamlit as st

from moe_core.analysis.message import N_, Message
from moe_core.dashboard import resources
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.counterfactual_run import LabResult, run_lab
from moe_core.dashboard.live_form import DEFAULT_BUDGET, STEP

RESULT = "lab_result"
BEFORE = "On Monday Emily phoned the hotline and waited forty minutes for an answer."
AFTER = "On Monday Jamal phoned the hotline and waited forty minutes for an answer."


def lab_form(ctx: PageContext) -> None:
    """Draw the form; on submit, compare both texts and keep the result in the session."""
    t = ctx.t
    with st.spinner(t("Loading the model …")):
        model = resources.model(ctx)
    heads = sorted(model.heads)
    lowest = math.ceil(model.calibration.smallest_budget / STEP) * STEP
    with st.form("lab_form", border=False), st.container(key="card_lab_form"):
        left, right = st.columns(2)
        before = left.text_area(t("Text"), value=BEFORE, key="lab_before", height=96)
        after = right.text_area(t("The same text with a word changed"), value=AFTER, key="lab_after", height=96)
        words_column, dial, head_column, button_column = st.columns([6, 6, 4, 3], vertical_alignment="bottom")
        with words_column:
            neutral = st.text_input(
                t("Words for neutral swaps, with commas"),
                key="lab_neutral",
                placeholder=t("For example: Laura, Susan, Helen"),
                help=t(
                    "They take the place of the first changed word, to show how much any such swap changes. Left "
                    "empty: other words of the same group from the shipped lists, if the word is in one."
                ),
            )
        with dial:
            budget = st.slider(
                t("Budget: share of the expert compute to spend"),
                min_value=round(lowest, 2), max_value=1.0, value=DEFAULT_BUDGET, step=STEP, key="lab_budget",
            )  # fmt: skip
        with head_column:
            head = st.selectbox(
                t("Head"), heads, key="lab_head",
                index=heads.index(model.default_head) if model.default_head in heads else 0,
            )  # fmt: skip
        with button_column:
            sent = st.form_submit_button(t("Compare"), type="primary", width="stretch", key="lab_run")
    if sent and head is not None:
        st.session_state.pop(RESULT, None)
        with st.spinner(t("Running both texts …")), resources.inference():
            st.session_state[RESULT] = run_lab(model, before, after, neutral=neutral, budget=budget, head=head)


def current_result() -> LabResult | None:
    """The last comparison of this session."""
    result: LabResult | None = st.session_state.get(RESULT)
    return result


def finding(ctx: PageContext, result: LabResult) -> str:
    """The title: does the answer change, and how much of the routing of unchanged words, against neutral swaps."""
    neutral = result.neutral_share
    params = {"share": result.change.share, "neutral": neutral or 0.0}
    if result.change.same_answer and neutral is None:
        msgid = N_("Same answer; {share:.0%} of the choices for unchanged words are different")
    elif result.change.same_answer:
        msgid = N_("Same answer; {share:.0%} of the choices for unchanged words differ, {neutral:.0%} in neutral swaps")
    elif neutral is None:
        msgid = N_("Another answer; {share:.0%} of the choices for unchanged words are different")
    else:
        msgid = N_(
            "Another answer; {share:.0%} of the choices for unchanged words differ, {neutral:.0%} in neutral swaps"
        )
    return Message(msgid, params).text(ctx.t)
