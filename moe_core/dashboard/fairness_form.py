"""The steps of the audit page: question, groups, strata, run. Nothing is audited before the button is pressed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from moe_core.analysis.audit.audit import FREQUENCY, LENGTH
from moe_core.analysis.audit.column_choices import Choices, usual_favourable
from moe_core.analysis.audit.question import Audited, Question
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.dashboard import fairness_data, fairness_words, filters, resources, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.numbers import run_label
from moe_core.errors import LogError, RouteLensError

ASKED, ERROR = "fairness_asked", "fairness_error"
NONE = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the visitor asked: a page that is drawn again shows the same audit."""

    runs: tuple[str, ...]
    question: Question
    reference: str | None


def fairness_form(ctx: PageContext) -> None:
    """Draw the steps; on the button, run the audit and keep what was asked, or the reason why there is no answer."""
    t = ctx.t
    with st.container(key="card_fairness_form"):
        runs = _runs(ctx)
        offered = fairness_data.choices(ctx, runs)
        if offered.default_group is None:
            raise LogError(t("No column divides these requests: record attributes or domains with the texts."))
        first, second, third = st.container(key="thirds_fairness_form").columns(3, gap="large")
        with second:
            group, unit, reference = _groups(ctx, runs, offered, offered.default_group)
        with first:
            outcome, favourable = _question(ctx, runs, offered, group)
        with third:
            strata = _strata(ctx, offered, group, outcome)
            st.header(t("4. Run"), anchor=False)
            st.caption(t("A few seconds: labels are dealt again 999 times, and both self tests run."))
            sent = st.button(t("Run the audit"), type="primary", width="stretch", key="fairness_run")
    question = Question(group=group, outcome=outcome, favourable=favourable, strata=strata, unit=unit)
    asked = Asked(runs=runs, question=question, reference=reference)
    if sent:
        with st.spinner(t("Auditing …")):
            _run(ctx, asked)
    elif current(ctx) is not None and st.session_state[ASKED][0] != asked:
        st.caption(t("The choices have changed since this audit ran. Run it again to see their result."))


def current(ctx: PageContext) -> Audited | None:
    """The last audit of this session."""
    kept: tuple[Asked, int] | None = st.session_state.get(ASKED)
    if kept is None:
        return None
    asked, version = kept
    return fairness_data.audit(ctx, asked.runs, asked.question, asked.reference, version)


def current_error() -> str | None:
    """Why the last audit has no result."""
    reason: str | None = st.session_state.get(ERROR)
    return reason


def _run(ctx: PageContext, asked: Asked) -> None:
    st.session_state.pop(ASKED, None)
    st.session_state.pop(ERROR, None)
    version = resources.version(ctx.store)
    try:
        fairness_data.audit(ctx, asked.runs, asked.question, asked.reference, version)
    except RouteLensError as error:
        st.session_state[ERROR] = fairness_words.error(str(error), ctx.t)
    else:
        st.session_state[ASKED] = asked, version


def _runs(ctx: PageContext) -> tuple[str, ...]:
    """The runs to audit; to begin with, the newest one with two groups that are large enough."""
    t = ctx.t
    listed = fairness_data.auditable_runs(ctx).set_index("run_id")
    labels = {str(run_id): run_label(run, t) for run_id, run in listed.iterrows()}
    wanted = st.session_state.get("fairness_group") or st.query_params.get("group")
    fitting = fairness_data.run_to_begin_with(ctx, listed.reset_index(), wanted)
    if fitting is None and wanted is not None:
        fitting = fairness_data.run_to_begin_with(ctx, listed.reset_index(), None)
    default = list(labels)[:1] if fitting is None else [fitting]
    chosen = filters.choices(
        t("Runs"), list(labels), labels, key="fairness_runs", parameter="run", default=default,
        help=t("Runs of one model can be audited together."),
    )  # fmt: skip
    if fitting is None:
        st.text(
            t("No recent run has two groups of {n} requests or more in one column, so nothing can be compared yet. "
              "Record texts with attributes (`routelens infer --file F.csv --attr COLUMN`), import a run, or choose "
              "several runs together.").format(n=AuditSettings().least_group)
        )  # fmt: skip
    return tuple(chosen or default)


def _question(
    ctx: PageContext, runs: tuple[str, ...], offered: Choices, group: str
) -> tuple[str | None, str | None]:  # fmt: skip
    t = ctx.t
    st.header(t("1. Question"), anchor=False)
    st.caption(t("Routing and compute are always compared. Choose an outcome to compare answers too."))
    names = [NONE, *(name for name in offered.outcomes if name != group)]
    default = offered.default_outcome if offered.default_outcome in names else NONE
    outcome = filters.choice(
        t("Outcome"), names, _labels(ctx, names, offered.attributes) | {NONE: t("none")}, key="fairness_outcome",
        parameter="outcome", default=default,
    )  # fmt: skip
    if outcome == NONE:
        return None, None
    values = fairness_data.values(ctx, runs, outcome)
    if not values:
        st.caption(t("A number counts as favourable above the median of all requests."))
        return outcome, None
    favourable = filters.choice(
        t("Favourable value"), values, {}, key="fairness_favourable", parameter="favourable",
        default=usual_favourable(values),
    )  # fmt: skip
    return outcome, favourable


def _groups(
    ctx: PageContext, runs: tuple[str, ...], offered: Choices, default: str
) -> tuple[str, str | None, str | None]:  # fmt: skip
    t = ctx.t
    st.header(t("2. Groups"), anchor=False)
    st.caption(t("An attribute or a column divides the requests; small groups are listed and not tested."))
    group = filters.choice(
        t("Group by"), offered.groups, _labels(ctx, offered.groups, offered.attributes), key="fairness_group",
        parameter="group", default=default,
    )  # fmt: skip
    sizes = fairness_data.sizes(ctx, runs, group)
    widgets.table(
        pd.DataFrame({
            t("Group"): [t("(not known)") if name is None else name for name in sizes["group"]],
            t("Requests (n)"): sizes["requests"], t("Tokens (n)"): sizes["tokens"],
        }),
        key="fairness_sizes", height="content" if len(sizes) <= 6 else 240,
    )  # fmt: skip
    with st.expander(t("Unit and comparison"), key="fairness_more"):
        names = [NONE, *(name for name in offered.units if name != group)]
        unit = filters.choice(
            t("One document is"), names, _labels(ctx, names, offered.attributes) | {NONE: t("one request")},
            key="fairness_unit", parameter="unit",
        )  # fmt: skip
        st.caption(t("Requests of one author or template resemble each other: then that is the unit."))
        groups = [NONE, *(str(name) for name in sizes["group"] if name is not None)]
        reference = filters.choice(
            t("Compare with"), groups, {NONE: t("all others; of two groups, the larger")}, key="fairness_reference",
            parameter="reference",
        )  # fmt: skip
    return group, unit or None, reference or None


def _strata(ctx: PageContext, offered: Choices, group: str, outcome: str | None) -> tuple[str, ...]:
    t = ctx.t
    st.header(t("3. Strata"), anchor=False)
    st.caption(
        t("Compare only requests that are alike in these columns. A difference that vanishes then was one of them.")
    )
    names = [name for name in offered.strata if name != group]
    return tuple(
        filters.choices(
            t("Compare within"), names, _labels(ctx, names, set(offered.attributes) - {LENGTH, FREQUENCY}),
            key="fairness_strata", parameter="strata", default=[], placeholder=t("no strata: requests as they are"),
        )
    )  # fmt: skip


def _labels(ctx: PageContext, names: Sequence[str], attributes: Collection[str]) -> dict[str, str]:
    return {name: fairness_words.column(name, ctx.t, attributes) for name in names}
