"""What the experts are for: heatmap of lifts, called findings, pairs, layers, training."""

from functools import partial

import streamlit as st

from moe_core.analysis.specialization.report import Specialization
from moe_core.analysis.specialization.saturation import saturated_by
from moe_core.charts import expert_map
from moe_core.charts import specialization as charts
from moe_core.dashboard import filters, specialization_data, widgets
from moe_core.dashboard import specialization_tables as tables
from moe_core.dashboard.context import PAGES, PageContext
from moe_core.dashboard.specialization_data import Described
from moe_core.dashboard.specialization_filter import Chosen

EXPERT_PAGE = PAGES / "expert_card.py"
TABLE_KEY = "specialization_called_table"
MOST_ROWS = 500
SATURATED = 0.85


def heatmap(ctx: PageContext, found: Specialization, chosen: Chosen) -> None:
    """Lift of every expert for domains, kinds of word and positions."""
    t = ctx.t
    with widgets.card(
        t("What does each expert run for?"),
        t("Lift: how much more often an expert runs for these tokens than for all; n = {n:,} documents").format(
            n=found.documents
        ),
        key="specialization_lifts",
    ):
        layer = None
        if found.n_layers * found.n_experts > tables.MOST_COLUMNS and found.n_layers > 1:
            layer = _layer(ctx, found)
        frame = tables.heatmap_frame(ctx, found, chosen, layer)
        widgets.chart(
            charts.lift_heatmap(frame, t=t, dark=ctx.dark), key="specialization_lifts_chart",
            alt=charts.lift_heatmap_alt(frame, t=t),
        )  # fmt: skip
        note = t("Strong colour = called specialization: found on both halves of the documents; pale = not called.")
        st.caption(f"{t('How to read it')}: {note}")
        for reason in (found.domains_reason, found.vocabulary_reason):
            if reason is not None:
                st.caption(reason.text(t))


def called(ctx: PageContext, found: Specialization, chosen: Chosen) -> None:
    """The called findings as numbers; a row that is chosen links to the expert's card."""
    t = ctx.t
    with widgets.card(
        t("Which findings held?"),
        t("Found on one half of the documents, all tests together, and again on the other, whose numbers are shown"),
        key="specialization_called",
    ):
        rows = chosen.keep(found.called)
        if rows.empty:
            st.markdown(
                t("No specialization found here. That is a normal result: differences smaller than the gate, or seen "
                  "on one half only, are not called.")
            )  # fmt: skip
            return
        shown = tables.called_table(ctx, found, rows.head(MOST_ROWS))
        selected = widgets.choose_row(shown, key=TABLE_KEY, height=330)
        if selected is not None and EXPERT_PAGE.exists():
            row = rows.iloc[selected]
            target = {"run": found.run_id, "layer": str(int(row["layer"])), "expert": str(int(row["expert_id"]))}
            label = t("Card of expert {layer}:{expert}").format(layer=row["layer"], expert=row["expert_id"])
            st.page_link(EXPERT_PAGE, label=label, icon=":material/badge:", query_params=target)
        if len(rows) > MOST_ROWS:
            st.caption(
                t("The first {shown:,} of {n:,}; the download has them all.").format(shown=MOST_ROWS, n=len(rows))
            )
        widgets.csv_download(
            ctx, tables.called_table(ctx, found, rows), file_name="specialization.csv", key="specialization_download"
        )


def pairs(ctx: PageContext, described: Described, chosen: Chosen) -> None:
    """Experts that run together more or less often than chance."""
    t = ctx.t
    partners = chosen.keep(described.partners, ("first", "second"))
    with widgets.card(
        t("Which experts run together?"),
        t("Common tokens of two experts of a layer over what chance gives all pairs of the layer; {n:,} pairs").format(
            n=len(partners)
        ),
        key="specialization_pairs",
    ):
        widgets.chart(
            charts.partner_pairs(partners, t=t, dark=ctx.dark), key="specialization_pairs_chart",
            alt=charts.partner_pairs_alt(partners, t=t),
        )  # fmt: skip
        st.caption(
            t("Counted over tokens of all documents; 95% intervals from the {n:,} documents of the sample.").format(
                n=described.found.sample.n_documents
            )
        )  # fmt: skip
        with st.expander(t("The pairs as numbers"), key="specialization_pairs_numbers"):
            widgets.table(
                tables.partner_table(ctx, partners.head(MOST_ROWS)), key="specialization_pairs_table", height=300
            )


def layers(ctx: PageContext, found: Specialization, chosen: Chosen) -> None:
    """Whether one layer's choice tells the next one's."""
    t = ctx.t
    frame = specialization_data.agreement(ctx, found.run_id, chosen.key)
    n = int(frame["n"].max()) if len(frame) else 0
    widgets.chart_card(
        ctx,
        charts.layer_agreement,
        charts.layer_agreement_alt,
        frame,
        title=t("Does one layer's expert tell the next one's?"),
        caption=t(
            "Mutual information of the rarest experts run, beyond chance; n = {n:,} tokens, 95% intervals"
        ).format(n=n),
        note=t("Diamonds: the part that a document as a whole explains; the rest is decided token by token."),
        key="specialization_layers",
    )


def training(ctx: PageContext, model_name: str) -> None:
    """How early the routing was what it is now; nothing where no checkpoints were measured."""
    t, measured = ctx.t, specialization_data.saturation(ctx, model_name)
    if measured is None:
        return
    step = saturated_by(measured, SATURATED)
    note = (
        t("At no checkpoint all layers agree with the final routing in {share:.0%} of choices.").format(share=SATURATED)
        if step is None
        else t(
            "From step {step:,} on every layer agrees with the final routing in at least {share:.0%} of choices."
        ).format(step=step, share=SATURATED)
    )  # fmt: skip
    with widgets.card(
        t("When did the routing settle in training?"),
        t("Choices equal to those of the final model; n = {n:,} tokens of {texts:,} texts, 95% intervals").format(
            n=measured.n_tokens, texts=measured.n_texts
        ),
        key="specialization_training",
    ):  # fmt: skip
        draw = partial(expert_map.saturation, t=t, dark=ctx.dark)
        widgets.chart(
            draw(measured.frame),
            key="specialization_training_chart",
            alt=expert_map.saturation_alt(measured.frame, t=t),
        )
        st.caption(note)
        if measured.note:
            st.text(t(measured.note))


def how_to_read(ctx: PageContext) -> None:
    """What the words mean, and what the page does not show."""
    t = ctx.t
    with widgets.card(t("How far do these findings go?"), key="specialization_reading"):
        st.markdown(
            "\n".join(
                f"- {line}"
                for line in (
                    t("A lift of 3× for numbers says: the expert runs for a share of numbers three times that of "
                      "all tokens. It does not say that numbers need this expert."),
                    t("Tokens of a document resemble each other, so intervals and tests count documents, not tokens."),
                    t("Documents are divided into halves by a hash of the request's ID. Equal texts can lie in both "
                      "halves: repeated traffic makes findings look more certain than they are."),
                    t("A domain can stand out because of its words: compare it with the kinds of word beside it."),
                    t(
                        "Where every token runs the same number of experts, one that runs more often pushes others "
                        "down: running less often for something may be no more than that."
                    ),
                    t("Where all experts of a layer run more often for some tokens, none of them is called for it."),
                )
            )
        )  # fmt: skip


def _layer(ctx: PageContext, found: Specialization) -> int:
    counts = found.called.groupby("layer").size()
    best = int(counts.idxmax()) if len(counts) else 0
    options = [str(layer) for layer in range(found.n_layers)]
    labels = {option: ctx.t("Layer {layer}").format(layer=option) for option in options}
    return int(
        filters.choice(
            ctx.t("Layer"), options, labels, key="specialization_layer", parameter="layer", default=str(best)
        )
    )
