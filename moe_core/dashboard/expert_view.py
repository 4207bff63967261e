"""The cards of the page about one expert."""

import pandas as pd
import streamlit as st

from moe_core.analysis.expert_card.card import ExpertCard
from moe_core.charts import expert_card as charts
from moe_core.charts.theme import spoken
from moe_core.dashboard import expert_data, filters, specialization_data, widgets
from moe_core.dashboard import expert_tables as tables
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.expert_link import EXPERT_KEY, LAYER_KEY, RUN_KEY, open_card, request_target
from moe_core.dashboard.numbers import run_label
from moe_core.errors import InputError

MOST_CHARACTERS = 400


def choose_expert(ctx: PageContext) -> tuple[str, int, int]:
    """(run, layer, expert) from three select boxes that are in the link. Raises InputError or RunNotFoundError where
    the link names something that does not exist."""
    t = ctx.t
    runs = specialization_data.routed_runs(ctx).set_index("run_id")
    labels = {str(run_id): run_label(run, t) for run_id, run in runs.iterrows()}
    named = st.query_params.get("run")
    if named and RUN_KEY not in st.session_state:
        expert_data.sizes(ctx, named)
        if named not in labels:
            raise InputError(f"Run {named} holds no decisions: the dense original routes nothing, name another run.")
    left, middle, right = st.columns([3, 1, 1])
    with left:
        run_id = filters.choice(t("Run"), list(labels), labels, key=RUN_KEY, parameter="run", always=True)
    n_layers, n_experts = expert_data.sizes(ctx, run_id)
    for key, parameter in ((LAYER_KEY, "layer"), (EXPERT_KEY, "expert")):
        if key not in st.session_state and (value := st.query_params.get(parameter)) is not None:
            most = n_layers if parameter == "layer" else n_experts
            if not (value.isascii() and value.isdigit() and len(value) < 7 and int(value) < most):
                raise InputError(
                    f"There is no {parameter} {value!r} in run {run_id}: it has the layers 0 to {n_layers - 1} with "
                    f"the experts 0 to {n_experts - 1} each."
                )
    with middle:
        layer = _number(t("Layer"), n_layers, LAYER_KEY, "layer")
    with right:
        expert = _number(t("Expert"), n_experts, EXPERT_KEY, "expert")
    return run_id, layer, expert


def over_time(ctx: PageContext, card: ExpertCard) -> None:
    """Its part of the layer's runs from hour to hour."""
    t = ctx.t
    if len(card.hours) == 1:
        row = card.hours.iloc[0]
        with widgets.card(t("How did its load move?"), key="expert_hours"):
            sentence = t(
                "All decisions of this run fall into one hour, {hour} UTC: {n:,} runs, {ratio:.2f}× an equal share."
            )
            hour = f"{row['hour']:%Y-%m-%d %H:%M}"
            st.text(sentence.format(hour=hour, n=int(row["n"]), ratio=float(row["over_equal"])))
        return
    widgets.chart_card(
        ctx, charts.load_by_hour, charts.load_by_hour_alt, card.hours, title=t("How did its load move?"),
        caption=t("Part of the layer's runs by hour (UTC), n = {n:,} runs; dashed: an equal share").format(
            n=card.usage.n
        ),
        key="expert_hours",
    )  # fmt: skip


def domains(ctx: PageContext, card: ExpertCard) -> None:
    """Where it is busy and where it is cold."""
    t, rows = ctx.t, card.domains
    with widgets.card(
        t("Where is it busy, where is it cold?"),
        t("Share of each domain's tokens, 95% intervals by document; diamond: interval of the lift above 1, or cold"),
        key="expert_domains",
    ):
        widgets.chart(
            charts.use_by_domain(rows, t=t, dark=ctx.dark), key="expert_domains_chart",
            alt=charts.use_by_domain_alt(rows, t=t),
        )  # fmt: skip
        if len(rows):
            last = rows.iloc[-1]
            sentence = t("Least used in {domain}: {runs:,} of n = {n:,} tokens ({share:.1%}, {documents:,} documents).")
            st.text(
                sentence.format(
                    domain=spoken(last["domain"], t), runs=int(last["runs"]), n=int(last["n"]),
                    share=float(last["share"]), documents=int(last["documents"]),
                )
            )  # fmt: skip
            with st.expander(t("The domains as numbers"), key="expert_domains_numbers"):
                widgets.table(tables.domain_table(ctx, rows), key="expert_domains_table")


def tokens(ctx: PageContext, card: ExpertCard) -> None:
    """Characteristic and frequent tokens."""
    t = ctx.t
    left, right = widgets.chart_columns([3, 2], key="expert_tokens")
    with (
        left,
        widgets.card(
            t("Which tokens are characteristic of it?"),
            t("Lift = its share of these tokens over its share of all; {n:,} tokens, words and places tested").format(
                n=card.tokens.tested
            ),
            key="expert_characteristic",
        ),
    ):
        if card.tokens.characteristic.empty:
            st.markdown(
                t("None that can be told from chance: rare tokens are not tested, however often it ran for them.")
            )
        else:
            shown = tables.characteristic_table(ctx, card)
            widgets.table(shown, key="expert_characteristic_table")
        st.caption(_sampled(ctx, card))
    with (
        right,
        widgets.card(
            t("Which tokens does it get most often?"),
            t("Mostly tokens that are frequent everywhere; marks of beginning and end left out"),
            key="expert_frequent",
        ),
    ):
        if card.tokens.frequent.empty:
            st.markdown(t("The tokens of this run are not known (not recorded, or erased)."))
        else:
            widgets.table(tables.frequent_table(ctx, card), key="expert_frequent_table")


def requests(ctx: PageContext, card: ExpertCard) -> None:
    """Texts in which it runs most and least, each with a way to its decisions."""
    t = ctx.t
    texts = specialization_data.texts(ctx, card.run_id, list(card.requests["request_id"])).set_index("request_id")
    for column, which, title in zip(
        widgets.chart_columns([1, 1], key="expert_requests"), ("most", "least"),
        (t("In which texts does it run most?"), t("In which texts does it run least?")), strict=True,
    ):  # fmt: skip
        rows = card.requests[card.requests["which"] == which]
        with column, widgets.card(title, t("Texts of at least 8 tokens of the sample"), key=f"expert_{which}"):
            if rows.empty:
                st.markdown(t("There is no such text in this run."))
            for place, row in enumerate(rows.to_dict("records")):
                text = texts["text"].get(row["request_id"])
                st.text(_shown(ctx, text))
                page, query = request_target(row, card.run_id, card.layer, card.expert)
                share = t("{runs:,} of n = {n:,} tokens ({share:.0%})").format(
                    runs=row["runs"], n=row["n"], share=row["share"]
                )
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.caption(share, width="content")
                    st.page_link(
                        str(page), label=t("Open the decisions"), icon=":material/arrow_forward:", query_params=query,
                        width="content",
                    )  # fmt: skip
                if place < len(rows) - 1:
                    st.divider()


def partners(ctx: PageContext, card: ExpertCard) -> None:
    """With whom it runs; a chosen partner's card opens."""
    t = ctx.t
    with widgets.card(
        t("With whom does it run?"),
        t("Common tokens over what chance gives all pairs of the layer, 95% intervals by document"),
        key="expert_partners",
    ):
        if card.partners.empty:
            st.markdown(t("Too few common tokens with any other expert of the layer to say."))
            return
        key = f"expert_partner_{card.layer}_{card.expert}"
        chosen = widgets.choose_row(tables.partner_table(ctx, card), key=key, height=330)
        st.caption(t("Choose a row to open that expert's card."))
        if chosen is not None:
            open_card(card.run_id, card.layer, int(card.partners["expert_id"].iloc[chosen]))


def loss(ctx: PageContext, card: ExpertCard) -> None:
    """What breaks without it, or how to measure that."""
    t, found = ctx.t, card.ablation
    with widgets.card(
        t("What breaks without it?"),
        t("It was really taken out and the texts were answered again; its mean output stood in for it"),
        key="expert_loss",
    ):
        if found is None:
            st.markdown(
                t("Not measured for the model of this run, so nothing is claimed. Measure it on labelled texts:")
            )
            st.code("routelens ablate --model DIR --tasks data/cache/tasks", language="bash")
            st.markdown(t("Or for a difference between groups of texts:"))
            st.code(
                f"routelens audit-expert --model DIR --file texts.csv --group COLUMN --favourable LABEL "
                f"--expert {card.layer}:{card.expert}",
                language="bash",
            )
            return
        st.text(found.finding.text(t))
        frame = tables.equals_frame(card, found)
        left, right = st.columns([1, 2])
        with left:
            widgets.chart(
                charts.against_equals(frame, t=t, dark=ctx.dark), key="expert_loss_chart",
                alt=charts.against_equals_alt(frame, t=t),
            )  # fmt: skip
        with right:
            widgets.table(tables.loss_table(ctx, found), key="expert_loss_table")
            note = t(
                "Budget {budget:.2f}, n = {n:,} texts of {tasks} tasks; it ran for {load:,} of {tokens:,} tokens. "
                "Intervals pair each text with itself; those of single tasks are not corrected for looking at "
                "{tasks} of them. Diamond: this expert; circles: experts of the layer with the nearest loads."
            )
            st.caption(
                note.format(
                    budget=found.budget, n=found.n, tasks=len(found.tasks), load=found.load, tokens=found.tokens
                )
            )


def _number(label: str, count: int, key: str, parameter: str) -> int:
    options = [str(i) for i in range(count)]
    return int(filters.choice(label, options, {}, key=key, parameter=parameter, always=True))


def _sampled(ctx: PageContext, card: ExpertCard) -> str:
    size = card.sample
    sentence = ctx.t(
        "From {n:,} of {total:,} decisions ({share:.0%}), {documents:,} documents; “found twice”: on both halves."
    )
    return sentence.format(
        n=size.decisions, total=size.of_decisions, share=size.share, documents=size.documents
    )


def _shown(ctx: PageContext, text: object) -> str:
    if text is None or pd.isna(text):
        return ctx.t("(erased)")
    line = " ".join(str(text).split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]} …"
