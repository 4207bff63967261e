"""The words panel of *Why this expert*: each word left out, and a swap of one's own."""

import pandas as pd
import streamlit as st

from moe_core.charts import explanation as charts
from moe_core.dashboard import why_run, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.why_choice import Choice
from moe_core.dashboard.why_frames import shown_words, word_frame
from moe_core.dashboard.why_source import Source
from moe_core.evaluation.counterfactual import MOST_UNKNOWN
from moe_core.explain.paragraph import readable
from moe_core.explain.word_effects import Effect, SwapReport, WordReport


def words_panel(ctx: PageContext, source: Source, choice: Choice, report: WordReport) -> None:
    """Two charts, the swap box, the table."""
    t = ctx.t
    notes(ctx, report)
    left, right = widgets.chart_columns([1, 1], key="why_words")
    decision, answer = word_frame(report, "decision"), word_frame(report, "answer")
    grey = t("grey band = nine of ten neutral swaps at other places stay within it; full colour = beyond it, ◆ = the "
             "word's absence turns it.")  # fmt: skip
    with left:
        widgets.chart_card(
            ctx, charts.word_bars, charts.word_bars_alt, shown_words(decision, decision["change"].notna()),
            title=t("Which words does the decision hang on?"),
            caption=t("Change of the margin ({margin:+.4f}) when the word is left out; n = {n} words").format(
                margin=report.intact.margin or 0.0, n=report.n_compared
            ),
            key="why_word_decision", note=grey,
        )  # fmt: skip
    with right:
        if report.intact.probability is None:
            with widgets.card(t("Which words does the answer hang on?"), key="why_word_answer"):
                st.caption(t("This run has no head, so there is no answer to follow."))
        else:
            widgets.chart_card(
                ctx, charts.word_bars, charts.word_bars_alt, shown_words(answer, answer["change"].notna()),
                title=t("Which words does the answer hang on?"),
                caption=t(
                    "Change of the probability of the intact text's answer ({probability:.3f}); n = {n} words"
                ).format(
                    probability=report.intact.probability, n=int(answer["change"].notna().sum())
                ),
                key="why_word_answer", note=grey,
            )  # fmt: skip
    with widgets.card(
        t("What if it were another word?"),
        t("Your own replacement, beside neutral ones of the same length for the same word. Nothing is recorded."),
        key="why_swap",
    ):
        swap_box(ctx, source, choice, report)
    with widgets.card(
        t("Every word as a table"),
        t("Changes when the word is left out, and what nine of ten neutral swaps at other places stay within (±)"),
        key="why_word_table",
    ):
        widgets.table(word_table(ctx, report), key="why_word_rows", height=320)
        raw = decision.merge(answer, on=["index", "word", "holds_token"], suffixes=("_decision", "_answer"))
        widgets.csv_download(ctx, raw, file_name="words_of_decision.csv", key="why_word_csv")


def notes(ctx: PageContext, report: WordReport) -> None:
    """What to know before reading the effects: the token's own word, groups of words, a language not read."""
    t = ctx.t
    if report.unknown > MOST_UNKNOWN:
        st.caption(
            t("This model has no word for {share:.0%} of the tokens: it does not read this language, and its routing "
              "says nothing about the text.").format(share=report.unknown)
        )  # fmt: skip
    if report.grouped > 1:
        st.caption(t("The text is long: {n} neighbouring words are left out at a time.").format(n=report.grouped))
    own = next((each for each in report.words if each.holds_token), None)
    if own is not None:
        st.caption(
            t("The token belongs to a word of the text: without that word its decision does not exist, so that word "
              "has no bar for the decision, only for the answer.")
        )  # fmt: skip


@st.fragment
def swap_box(ctx: PageContext, source: Source, choice: Choice, report: WordReport) -> None:
    """Word and replacement; the effects in a table, each beside its neutral swaps."""
    t = ctx.t
    with st.form("why_swap_form", border=False):
        first, second, third = st.columns([3, 4, 2], vertical_alignment="bottom")
        options = list(range(len(report.words)))
        strongest = report.strongest_for_decision
        index = first.selectbox(
            t("Word"), options, key="why_swap_word", index=strongest.index if strongest is not None else 0,
            format_func=lambda i: f"{i + 1}: {readable(report.words[i].word.text)[:40]}",
        )  # fmt: skip
        replacement = second.text_input(t("Replacement"), key="why_swap_text", placeholder=t("another word"))
        sent = third.form_submit_button(t("Swap"), width="stretch", key="why_swap_send")
    if not sent or index is None:
        return
    with widgets.error_boundary(ctx):
        found = why_run.swap(ctx, source, choice, index, replacement)
        widgets.table(swap_table(ctx, found), key="why_swap_table")
        if found.neutral_words:
            st.caption(t("Neutral words, from the shipped lists") if found.from_lists else t("Neutral words"))
            st.text(", ".join(found.neutral_words))
        if found.after.runs is None:
            st.caption(t("The token itself was swapped, so its decision does not exist in the new text."))


def swap_table(ctx: PageContext, swap: SwapReport) -> pd.DataFrame:
    """Decision, answer and compute: before, after, change, and what neutral swaps do."""
    t, before, after = ctx.t, swap.before, swap.after
    runs = {True: t("runs"), False: t("does not run"), None: t("does not exist")}
    rows = [
        (t("Margin"), _number(before.margin), _number(after.margin), swap.decision),
        (t("Decision"), runs[before.runs], runs[after.runs], None),
        (t("Probability of the first answer"), _number(before.probability), _number(after.probability), swap.answer),
        (t("Answer"), before.label or "—", after.label or "—", None),
        (t("Experts per token and layer"), _number(before.experts_per_token), _number(after.experts_per_token),
         swap.compute),
    ]  # fmt: skip
    return pd.DataFrame(
        [
            {
                "": name, t("Before"): old, t("After"): new,
                t("Change"): _signed(effect), t("Neutral swaps"): _floor(ctx, effect),
            }
            for name, old, new, effect in rows
        ]
    )  # fmt: skip


def word_table(ctx: PageContext, report: WordReport) -> pd.DataFrame:
    """One row per word."""
    t = ctx.t
    runs = {True: t("runs"), False: t("does not run"), None: t("does not exist")}
    return pd.DataFrame(
        {
            t("Word"): [each.word.text for each in report.words],
            t("Margin, change"): [each.decision.change for each in report.words],
            t("Margin, neutral (±)"): [each.decision.floor.limit if each.decision.floor else None
                                       for each in report.words],
            t("Decision without it"): [runs[each.reading.runs if each.reading else None] for each in report.words],
            t("Probability, change"): [each.answer.change for each in report.words],
            t("Probability, neutral (±)"): [each.answer.floor.limit if each.answer.floor else None
                                            for each in report.words],
            t("Answer without it"): [each.reading.label if each.reading else None for each in report.words],
            t("Experts per token, change"): [each.compute.change for each in report.words],
            t("Margin, swaps (n)"): [each.decision.floor.n if each.decision.floor else 0 for each in report.words],
            t("Probability, swaps (n)"): [each.answer.floor.n if each.answer.floor else 0 for each in report.words],
        }
    ).round(4)  # fmt: skip


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.4f}"


def _signed(effect: Effect | None) -> str:
    return "—" if effect is None or effect.change is None else f"{effect.change:+.4f}"


def _floor(ctx: PageContext, effect: Effect | None) -> str:
    if effect is None:
        return ""
    if effect.floor is None:
        return ctx.t("too few to compare")
    verdict = ctx.t("beyond") if effect.beyond else ctx.t("no more than any edit does")
    return ctx.t("nine of ten within ±{limit:.4f} (n = {n}): {verdict}").format(
        limit=effect.floor.limit, n=effect.floor.n, verdict=verdict
    )
