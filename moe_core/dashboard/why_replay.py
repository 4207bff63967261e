"""The replay of a recorded request on *Why this expert*: the same decisions as logged, or what differs."""

import re
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from moe_core.dashboard import data, resources, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.why_choice import Choice
from moe_core.dashboard.why_source import Source
from moe_core.explain.replay import LoggedRun, ReplayReport, around, compare, run_again
from moe_core.log.logged_steps import logged_steps, steps_of

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel

MOST_AT_ONCE = 16  # requests answered together that are run again without being asked


def replay_card(ctx: PageContext, source: Source, choice: Choice) -> None:
    """Whether the recorded decisions are those of now. A request that was answered with many others is run again on a
    click, since all of them are."""
    if source.request_id is None or source.run_id is None:
        return
    t = ctx.t
    caption = t("The request run again at its setting, all decisions compared with the log in its own steps")
    with widgets.card(t("Does the log say the same?"), caption, key="why_replay"), widgets.error_boundary(ctx):
        together = _together(ctx, source)
        if together > MOST_AT_ONCE and not st.button(
            t("Run it again with the {n:,} requests it was answered with").format(n=together), key="why_replay_button"
        ):
            return
        report = replay(ctx, source)
        if report.same:
            st.markdown(t("**Same**: all {n:,} decisions, to the last digit that the log keeps.").format(
                n=report.n_decisions
            ))  # fmt: skip
        else:
            st.markdown(
                t("**Different**: {differ:,} of {n:,} decisions; {choices:,} of them in which expert runs, {values:,} "
                  "only in a number.").format(
                    differ=report.n_differ, n=report.n_decisions, choices=report.n_choices, values=report.n_values
                )
            )  # fmt: skip
            here = [d for d in report.differences if (d.position, d.layer) == (choice.position, choice.layer)]
            st.caption(
                t("This token's decisions in this layer are among the first that differ.") if here
                else t("The explanation above is of the decisions of now.")
            )  # fmt: skip
            widgets.table(difference_table(ctx, report), key="why_replay_table", height=200)
        for line in report.around:
            st.text(around_sentence(ctx, line))


def around_sentence(ctx: PageContext, line: str) -> str:
    """A line of `replay.around` in the visitor's language, as far as it is known here. Names in it are foreign text."""
    names = {"model": ctx.t("Model"), "torch": "torch", "python": "Python", "threads": ctx.t("Threads")}
    found = re.fullmatch(r"(\w+): then (.*), now (.*)", line, re.DOTALL)
    if found is None or found[1] not in names:
        return line
    return ctx.t("{what}: then {then}, now {now}").format(what=names[found[1]], then=found[2], now=found[3])


def difference_table(ctx: PageContext, report: ReplayReport) -> pd.DataFrame:
    """The first decisions that differ, with headings; numbers in the steps of the log."""
    t = ctx.t
    words = {"only in the log": t("only in the log"), "only now": t("only now"), "selected": t("Ran"),
             "gate_weight": t("Gate weight"), "margin": t("Margin"), "rank": t("Rank")}  # fmt: skip
    return pd.DataFrame(
        {
            t("Position"): [d.position for d in report.differences],
            t("Layer"): [d.layer for d in report.differences],
            t("Expert"): [d.expert_id for d in report.differences],
            t("What"): [words.get(d.what, d.what) for d in report.differences],
            t("In the log"): [d.logged for d in report.differences],
            t("Now"): [d.now for d in report.differences],
        }
    )


def replay(ctx: PageContext, source: Source) -> ReplayReport:
    """Runs the request again with those it was answered with. Raises InputError, SegmentError."""
    model = resources.model(ctx)
    with resources.inference():
        return _replay(str(ctx.store), resources.version(ctx.store), model.sha256, source, ctx.lang, ctx, model)


def _together(ctx: PageContext, source: Source) -> int:
    return len(data.answered_together(ctx, source.request_id or "", source.run_id or ""))


@st.cache_data(show_spinner=False, max_entries=16)
def _replay(
    store: str, version: int, sha256: str, source: Source, lang: str, _ctx: PageContext, _model: "RoutedModel"
) -> ReplayReport:
    request_id, run_id = source.request_id or "", source.run_id or ""
    run = LoggedRun.of(request_id, data.run_of_request(_ctx, request_id, run_id).to_dict())
    together = data.answered_together(_ctx, request_id, run_id)
    notes = around(run, _model)
    texts, number = list(together["text"]), list(together["request_id"]).index(request_id)
    if gone := int(together["text"].isna().sum()):
        sentence = _ctx.t("{gone} of the {n} texts it was answered with are erased: it was run again alone.")
        notes.append(sentence.format(gone=gone, n=len(texts)))
        texts, number = [source.text], 0
    now = steps_of(run_again(_model, source.setting, texts, number))
    logged = logged_steps(data.request_trace(_ctx, request_id))
    return compare(run, logged, now, answered_with=len(texts), around=notes)
