"""The form of the live page: text, budget dial, head, recording; runs the models when it is sent."""

import math

import streamlit as st

from moe_core.analysis.message import N_, Message
from moe_core.dashboard import resources
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.live_run import LiveResult, run_live

RESULT = "live_result"
STEP = 0.05
DEFAULT_BUDGET = 0.5


def live_form(ctx: PageContext) -> None:
    """Draw the form; on submit, run the text and keep the result in the session."""
    t = ctx.t
    with st.spinner(t("Loading the model …")):
        model = resources.model(ctx)
    heads = sorted(model.heads)
    lowest = math.ceil(model.calibration.smallest_budget / STEP) * STEP
    with st.form("live_form", border=False), st.container(key="card_live_form"):
        text = st.text_area(
            t("Text"),
            key="live_text",
            height=96,
            placeholder=t("For example: The parcel never arrived and nobody answers."),
        )
        dial, head_column, record_column, button_column = st.columns([7, 4, 5, 3], vertical_alignment="bottom")
        with dial:
            budget = st.slider(
                t("Budget: share of the expert compute to spend"),
                min_value=round(lowest, 2),
                max_value=1.0,
                value=DEFAULT_BUDGET,
                step=STEP,
                key="live_budget",
                help=t(
                    "The model spends this share on average: more on hard tokens, less on easy ones. "
                    "1 runs every expert."
                ),
            )
        with head_column:
            head = st.selectbox(
                t("Head"),
                heads,
                index=heads.index(model.default_head) if model.default_head in heads else 0,
                key="live_head",
                help=t("The classifier that reads the embedding and gives the answer."),
            )
        with record_column:
            record = st.toggle(
                t("Record to the log"),
                value=True,
                key="live_record",
                help=t("Keeps the text, the answers and every decision in the store of this machine."),
            )
        with button_column:
            sent = st.form_submit_button(t("Run"), type="primary", width="stretch", key="live_run")
    if sent and head is not None:
        with st.spinner(t("Running both models …")), resources.inference():
            recorder = resources.recorder(ctx) if record else None
            st.session_state[RESULT] = run_live(model, text, budget=budget, head=head, recorder=recorder)


def current_result() -> LiveResult | None:
    """The last answer of this session."""
    result: LiveResult | None = st.session_state.get(RESULT)
    return result


def finding(ctx: PageContext, result: LiveResult) -> str:
    """The title: whether the answer stayed the same, and how much less work it took."""
    saving = 1 - result.active_fraction
    params = {"saving": saving, "share": result.active_fraction}
    if result.same_answer and saving >= 0.005:
        message = Message(N_("Same answer as the dense original, with {saving:.0%} less expert compute"), params)
    elif result.same_answer:
        message = Message(N_("Same answer as the dense original, with all experts running"), params)
    else:
        message = Message(N_("The dense original answers differently; the experts did {share:.0%} of its work"), params)
    return message.text(ctx.t)
