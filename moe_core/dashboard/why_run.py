"""What *Why this expert* computes, each kept for a while: the explanation, the words, the replay of a request."""

from typing import TYPE_CHECKING

import streamlit as st

from moe_core.dashboard import resources
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.counterfactual_run import shipped_wordings
from moe_core.dashboard.why_choice import Choice
from moe_core.dashboard.why_source import Source
from moe_core.explain.decision import DecisionExplanation
from moe_core.explain.word_effects import SwapReport, WordReport
from moe_core.explain.words import WordRuns, run_words, swap_report, word_report

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel


def explanation(ctx: PageContext, source: Source, choice: Choice) -> DecisionExplanation:
    """The decision, explained. Raises InputError or ExplainError where it cannot be."""
    model = resources.model(ctx)
    with resources.inference():
        return _explanation(model.sha256, source, choice, model)


def words(ctx: PageContext, source: Source, choice: Choice) -> WordReport:
    """Leave-one-word-out effects on the decision; the text is read again once for all of its decisions."""
    return word_report(runs(ctx, source), position=choice.position, layer=choice.layer, expert_id=choice.expert_id)


def runs(ctx: PageContext, source: Source) -> WordRuns:
    """The text without each of its words, read in one batch. Raises InputError."""
    model = resources.model(ctx)
    with resources.inference():
        return _runs(model.sha256, source, model)


def swap(ctx: PageContext, source: Source, choice: Choice, index: int, replacement: str) -> SwapReport:
    """One word replaced, beside neutral swaps of it. Raises InputError."""
    read = runs(ctx, source)
    with resources.inference():
        return swap_report(
            resources.model(ctx), read, index, replacement, position=choice.position, layer=choice.layer,
            expert_id=choice.expert_id, wordings=shipped_wordings(),
        )  # fmt: skip


@st.cache_data(show_spinner=False, max_entries=32)
def _explanation(sha256: str, source: Source, choice: Choice, _model: "RoutedModel") -> DecisionExplanation:
    from moe_core.explain.explain import explain_decision

    return explain_decision(
        _model, source.text, source.setting, position=choice.position, layer=choice.layer,
        expert_id=choice.expert_id, request_id=source.request_id,
    )  # fmt: skip


@st.cache_resource(show_spinner=False, max_entries=4)
def _runs(sha256: str, source: Source, _model: "RoutedModel") -> WordRuns:
    return run_words(_model, source.text, source.setting)
