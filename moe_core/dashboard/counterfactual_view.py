"""The parts of the counterfactual lab below the form: numbers, changed decisions, the edit itself."""

import pandas as pd
import streamlit as st

from moe_core.analysis.counterfactual.changes import STARTED
from moe_core.charts import counterfactual as charts
from moe_core.dashboard import widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.counterfactual_run import LabResult
from moe_core.dashboard.widgets import Number, percent

METRICS = ("answer_score", "counterfactual_change", "neutral_change", "expert_compute")


def lab_numbers(ctx: PageContext, result: LabResult) -> list[Number]:
    """Answer, changed choices, neutral swaps, compute; each with the first text beside it."""
    t, before, after = ctx.t, result.before, result.after
    n_layers, tokens = result.change.changed_LP.shape
    if result.neutral_share is None:
        floor = t("no neutral word: give some in the form")
    else:
        low, high = result.neutral_range
        floor = t("n = {n} swaps, {low:.0%} to {high:.0%}").format(n=len(result.neutral), low=low, high=high)
    return [
        Number(
            metric="answer_score",
            label=t("Answer"),
            value=_short(after.label),
            basis=t("score {after:.3f}; first text: {label}, score {before:.3f}").format(
                after=after.score, label=_short(before.label), before=before.score
            ),
        ),
        Number(
            metric="counterfactual_change",
            value=percent(result.change.share, 1),
            basis=t("{changed:,} of n = {n:,} choices: {tokens} tokens in {layers} layers").format(
                changed=int(result.change.changed_LP.sum()), n=n_layers * tokens, tokens=tokens, layers=n_layers
            ),
        ),
        Number(metric="neutral_change", value=percent(result.neutral_share, 1), basis=floor),
        Number(
            metric="expert_compute",
            value=percent(after.active_fraction, 1),
            basis=t("first text: {before:.1%}; n = {n:,} tokens against {m:,}").format(
                before=before.active_fraction, n=after.n_tokens, m=before.n_tokens
            ),
        ),
    ]  # fmt: skip


def lab_view(ctx: PageContext, result: LabResult) -> None:
    """Chart by layer, the edit, the changed decisions as a table with download."""
    t = ctx.t
    if result.unreadable is not None:
        st.caption(
            t("This model has no word for {share:.0%} of the tokens: it does not read this language, and its routing "
              "says nothing about the text.").format(share=result.unreadable)
        )  # fmt: skip
    left, right = widgets.chart_columns([3, 2], key="lab")
    with left:
        widgets.chart_card(
            ctx,
            charts.changes_by_layer,
            charts.changes_by_layer_alt,
            result.layers,
            title=t("In which layers do other experts run?"),
            caption=t("Share of the unchanged tokens that run another set of experts than in the first text"),
            key="lab_layers",
            note=t("bar = your edit; diamond = mean of the neutral swaps, its line from the smallest to the largest."),
        )
    caption = t("Words of both texts, and what the model makes of them")
    with right, widgets.card(t("What was changed?"), caption, key="lab_edit"):
        widgets.table(edit_table(ctx, result), key="lab_edit_table")
        _neutral(ctx, result)
    with widgets.card(
        t("Which decisions changed?"),
        t("One row per token, layer and expert that ran in only one of the texts; the changed words are left out."),
        key="lab_decisions",
    ):
        widgets.table(decision_table(ctx, result.decisions), key="lab_decisions_table", height=320)
        widgets.csv_download(ctx, result.decisions, file_name="changed_decisions.csv", key="lab_decisions_download")
    st.caption(
        t("One pair of texts is an example, not a finding about a group: `routelens counterfactual` tests many "
          "templates against neutral swaps.")
    )  # fmt: skip


def _neutral(ctx: PageContext, result: LabResult) -> None:
    """The neutral words, as foreign text."""
    if result.neutral_words:
        label = ctx.t("Neutral words, from the shipped lists") if result.proposed else ctx.t("Neutral words")
        st.caption(label)
        st.text(", ".join(result.neutral_words))


def edit_table(ctx: PageContext, result: LabResult) -> pd.DataFrame:
    """Changed words, then tokens without a partner on each side."""
    t = ctx.t
    edits = result.change.edits
    frame = pd.DataFrame({t("First text"): [e.old for e in edits], t("Second text"): [e.new for e in edits]})
    pieces = {
        t("First text"): " ".join(result.before.pieces[i] for i in result.change.alignment.swapped_left),
        t("Second text"): " ".join(result.after.pieces[i] for i in result.change.alignment.swapped_right),
    }
    table = pd.concat([frame, pd.DataFrame([pieces])], ignore_index=True)
    table.insert(0, "", [t("words")] * len(frame) + [t("tokens")])
    return table


def decision_table(ctx: PageContext, decisions: pd.DataFrame) -> pd.DataFrame:
    """Changed decisions with headings."""
    t = ctx.t
    return pd.DataFrame(
        {
            t("Position"): decisions["position_before"],
            t("Token"): decisions["token"],
            t("Layer"): decisions["layer"],
            t("Expert"): decisions["expert_id"],
            t("Change"): [t("runs now") if c == STARTED else t("no longer runs") for c in decisions["change"]],
        }
    )


def _short(label: str | None, limit: int = 28) -> str:
    text = label or "—"
    return text if len(text) <= limit else text[: limit - 1] + "…"
