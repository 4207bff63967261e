"""The parts of *Why this expert* about the decision itself: finding, numbers, paragraph, charts, flips, tables."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from moe_core.analysis.message import N_, Message
from moe_core.charts import explanation as charts
from moe_core.dashboard import widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.expert_link import CARD
from moe_core.dashboard.why_frames import by_size, contribution_frame, expert_frame, grouped
from moe_core.dashboard.widgets import Number, percent
from moe_core.explain.component_names import component_name, turns
from moe_core.explain.decision import DecisionExplanation
from moe_core.explain.paragraph import chosen_expert, paragraph
from moe_core.explain.word_effects import WordReport

METRICS = ("score", "margin", "decision_rank", "gate_weight", "contribution", "smallest_flip", "completeness_error",
           "word_effect", "neutral_floor")  # fmt: skip
MOST_TURNING = 8


def finding(ctx: PageContext, decision: DecisionExplanation) -> str:
    """The title. It is markdown, so a token that is more than letters and digits is named by its position only."""
    chosen = chosen_expert(decision)
    token = decision.token.removeprefix("##")
    params: dict[str, float | int | str] = {"expert": decision.expert_id, "layer": decision.layer, "token": token,
              "position": decision.position, "score": chosen.score, "threshold": chosen.threshold}  # fmt: skip
    if decision.runs and token.isalnum():
        msgid = N_("Expert {expert} runs for “{token}” in layer {layer}: score {score:.3f} against {threshold:.3f}")
    elif token.isalnum():
        msgid = N_("Expert {expert} does not run for “{token}” in layer {layer}: score {score:.3f} against "
                   "{threshold:.3f}")  # fmt: skip
    elif decision.runs:
        msgid = N_("Expert {expert} runs for the token at position {position} in layer {layer}: score {score:.3f} "
                   "against {threshold:.3f}")  # fmt: skip
    else:
        msgid = N_("Expert {expert} does not run for the token at position {position} in layer {layer}: score "
                   "{score:.3f} against {threshold:.3f}")  # fmt: skip
    return Message(msgid, params).text(ctx.t)


def why_numbers(ctx: PageContext, decision: DecisionExplanation) -> list[Number]:
    """Margin, rank, gate weight, smallest flip, completeness error."""
    t, chosen, flip = ctx.t, chosen_expert(decision), decision.flip
    n = len(decision.experts)
    rank = 1 + sum(each.margin > chosen.margin for each in decision.experts)
    if flip.relative is None:
        flipped = t("no change of this kind turns it")
    elif flip.closed_form:
        flipped = t("of the input's length; by formula")
    else:
        flipped = t("of the input's length; solved to {residual:.0e}").format(residual=flip.residual or 0.0)
    return [
        Number(
            metric="margin",
            value=f"{decision.margin:+.4f}",
            basis=t("score {score:.3f} against {threshold:.3f}").format(score=chosen.score, threshold=chosen.threshold),
        ),
        Number(
            metric="decision_rank",
            value=f"{rank} / {n}",
            basis=t("by margin; {runs} of {n} experts run").format(runs=sum(e.runs for e in decision.experts), n=n),
        ),
        Number(
            metric="gate_weight",
            value=f"{chosen.gate_weight:.2f}",
            basis=t("stays so in bfloat16") if decision.stable_in_bf16 else t("the decision turns in bfloat16"),
        ),
        Number(metric="smallest_flip", value=percent(flip.relative, 2), basis=flipped),
        Number(
            metric="completeness_error",
            value=f"{decision.completeness_error:.1e}",
            basis=t("of the range of scores; n = {n} components").format(n=len(decision.contributions)),
        ),
    ]


def paragraph_card(ctx: PageContext) -> DeltaGenerator:
    """An empty place in a card, for `say`: the words are known later than the rest."""
    caption = ctx.t("Made from the numbers on this page; one decision, n = 1")
    with widgets.card(ctx.t("In words"), caption, key="why_paragraph"):
        return st.empty()


def say(ctx: PageContext, place: DeltaGenerator, decision: DecisionExplanation, words: WordReport | None) -> None:
    """The sentences, as plain text: tokens, words and labels in them are foreign."""
    sentences = [message.text(ctx.t) for message in paragraph(decision, words)]
    if words is None:
        sentences.append(ctx.t("Reading the text again without each of its words …"))
    place.text(("" if ctx.lang == "ja" else " ").join(sentences))


def decision_charts(ctx: PageContext, decision: DecisionExplanation) -> None:
    """All experts against their thresholds; what the margin is made of."""
    t = ctx.t
    left, right = widgets.chart_columns([2, 3], key="why")
    with left:
        widgets.chart_card(
            ctx, charts.expert_scores, charts.expert_scores_alt, expert_frame(decision),
            title=t("Who passed the threshold?"),
            caption=t("Score and threshold of the {n} experts of layer {layer}").format(
                n=len(decision.experts), layer=decision.layer
            ),
            key="why_experts",
            note=t("bar = score, orange tick = threshold as compared; pale bars did not run; the framed bar is the "
                   "one explained here."),
        )  # fmt: skip
        flips_card(ctx, decision)
        st.page_link(
            CARD, label=t("What expert {expert} of layer {layer} does elsewhere").format(
                expert=decision.expert_id, layer=decision.layer
            ),
            icon=":material/badge:",
            query_params={"layer": str(decision.layer), "expert": str(decision.expert_id), "lang": ctx.lang},
        )  # fmt: skip
    with right:
        frame = grouped(contribution_frame(decision, t), t)
        direct = "" if decision.method == "exact" else f" ({t('direct effect, frozen norm')})"
        with widgets.card(
            t("What is the margin made of?"),
            t("Share of each component in the margin; together they are {margin:+.4f}").format(margin=decision.margin)
            + direct,
            key="why_shares",
        ):
            widgets.chart(
                charts.contribution_bars(frame, t=t, dark=ctx.dark), key="why_shares_chart",
                alt=charts.contribution_bars_alt(frame, t=t),
            )  # fmt: skip
            st.caption(
                t("How to read it") + ": "
                + t("right of 0 speaks for running, left against; ◆ = without this component the decision turns; pale "
                    "= constants of the model, in which nothing of the text lies.")
            )  # fmt: skip
            st.caption(
                t("This is the direct effect on this router's input, with earlier parts held as they were. Taking a "
                  "part out of the model would also change what later heads and experts write (the total effect): what "
                  "leaving out a word does, below, is a total effect. The two are never added.")
            )  # fmt: skip


def flips_card(ctx: PageContext, decision: DecisionExplanation) -> None:
    """What would turn the decision: one component less, a small change, another budget."""
    t, flip, budget = ctx.t, decision.flip, decision.budget_flip
    with widgets.card(
        t("What would turn the decision?"), t("Each alone, all else kept as it was"), key="why_flips"
    ):
        tried = [each for each in decision.contributions if each.runs_without is not None]
        turning = [each for each in by_size(decision) if turns(each, runs=decision.runs)]
        if not tried:
            st.markdown(t("Removal was not computed: the norm is held frozen for this model."))
        elif turning:
            st.markdown(
                t("**One component less**: {turning} of {n} components, norms computed again.").format(
                    turning=len(turning), n=len(tried)
                )
            )
            names = [
                t("{name} (margin then {margin:+.4f})").format(
                    name=component_name(each).text(t), margin=each.margin_without or 0.0
                )
                for each in turning[:MOST_TURNING]
            ]
            more = len(turning) - len(names)
            st.caption(t("; ").join(names) + (t(" and {n} more").format(n=more) if more else ""))
        else:
            st.markdown(
                t("**One component less**: none of {n} components, norms computed again.").format(n=len(tried))
            )
        if flip.relative is not None:
            st.markdown(
                t("**A small change of the router's input**: {relative:.2%} of its length ({distance:.3f}).").format(
                    relative=flip.relative, distance=flip.distance or 0.0
                )
            )
        else:
            st.markdown(t("**A small change of the router's input**: none of this kind turns it."))
        if budget.budget is None:
            st.markdown(t("**Another budget**: none turns it while the router's input stays the same."))
        else:
            st.markdown(
                t("**Another budget**: {budget:.2f}, with the router's input kept.").format(budget=budget.budget)
            )


def tables(ctx: PageContext, decision: DecisionExplanation) -> None:
    """Experts and components as tables with downloads."""
    t = ctx.t
    experts, parts = expert_frame(decision), contribution_frame(decision, t)
    with widgets.card(
        t("The same numbers as tables"),
        t("{experts} experts and {parts} components; shares add up to the margin").format(
            experts=len(experts), parts=len(parts)
        ),
        key="why_tables",
    ):
        left, right = st.columns([1, 1])
        yes = {True: t("yes"), False: t("no"), None: "—"}
        with left:
            widgets.table(
                experts[["expert_id", "score", "threshold", "margin", "gate_weight"]].round(4)
                .assign(runs=[yes[bool(r)] for r in experts["runs"]], bf16=[yes[bool(r)] for r in experts["bf16_runs"]])
                .rename(columns={"expert_id": t("Expert"), "score": t("Score"), "threshold": t("Threshold"),
                                 "margin": t("Margin"), "gate_weight": t("Gate weight"), "runs": t("Ran"),
                                 "bf16": t("Runs in bfloat16")}),
                key="why_expert_table", height=320,
            )  # fmt: skip
            widgets.csv_download(ctx, experts, file_name="experts_of_decision.csv", key="why_expert_csv")
        with right:
            widgets.table(
                parts[["name", "contribution", "margin_without"]].round(4)
                .assign(without=[yes[None if r is None else bool(r)] for r in parts["runs_without"]])
                .rename(columns={"name": t("Component"), "contribution": t("Share of the margin"),
                                 "margin_without": t("Margin without it"), "without": t("Runs without it")}),
                key="why_parts_table", height=320,
            )  # fmt: skip
            widgets.csv_download(ctx, parts, file_name="components_of_decision.csv", key="why_parts_csv")
