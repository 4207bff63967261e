"""Numbers and tables of an expert's card, with headings in the visitor's language."""

import pandas as pd

from moe_core.analysis.ablation import Ablation
from moe_core.analysis.expert_card.card import ExpertCard
from moe_core.analysis.expert_card.document import words_of
from moe_core.analysis.expert_card.domains import BUSY, COLD, FEW, NEVER
from moe_core.analysis.specialization.names import feature_name
from moe_core.charts.theme import spoken
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.i18n import Translate
from moe_core.dashboard.widgets import Number

METRICS = ("expert_token_share", "expert_place", "expert_gate", "expert_stand_in", "expert_loss")


def kpis(ctx: PageContext, card: ExpertCard) -> list[Number]:
    """Four numbers: share of tokens, place in the layer, gate, how often it stood in."""
    t, use = ctx.t, card.usage
    interval = (
        t("too few documents for an interval")
        if use.low != use.low
        else t("95% interval {low:.1%} to {high:.1%}").format(low=use.low, high=use.high)
    )
    return [
        Number(
            metric="expert_token_share", value=f"{use.share:.1%}" if use.tokens else "—",
            basis=t("{interval}, n = {n:,} tokens of {documents:,} documents").format(
                interval=interval, n=use.tokens, documents=use.documents
            ),
        ),
        Number(
            metric="expert_place", value=t("{place} of {total}").format(place=use.place, total=use.n_experts),
            basis=t("{ratio:.2f}× an equal share, n = {n:,} runs").format(ratio=use.over_equal, n=use.n),
        ),
        Number(
            metric="expert_gate", value=f"{use.gate_share:.1%}" if use.n else "—",
            basis=t("place {place} of {total}; mean gate weight {gate:.2f}, n = {n:,} runs").format(
                place=use.gate_place, total=use.n_experts, gate=use.mean_gate, n=use.n
            )
            if use.n
            else t("it never ran, n = {n:,} tokens").format(n=use.tokens),
        ),
        Number(
            metric="expert_stand_in", value=f"{use.floor_n + use.failover_n:,}",
            basis=t("floor {floor:,}, failover {failover:,}, n = {n:,} runs; best one not run: {near:,} tokens").format(
                floor=use.floor_n, failover=use.failover_n, n=use.n, near=use.runner_up_n
            ),
        ),
    ]  # fmt: skip


def state_words(t: Translate, state: str, n: int) -> str:
    """Busy, cold, never, or nothing to say, in words; never with its n."""
    return {
        BUSY: t("busy"), COLD: t("cold"), NEVER: t("0 of {n:,} tokens").format(n=n), FEW: t("too few to say"),
    }.get(state, "")  # fmt: skip


def domain_table(ctx: PageContext, domains: pd.DataFrame) -> pd.DataFrame:
    """Domains with headings, largest lift first."""
    t = ctx.t
    return pd.DataFrame(
        {
            t("Domain"): [spoken(name, t) for name in domains["domain"]],
            t("State"): [state_words(t, s, int(n)) for s, n in zip(domains["state"], domains["n"], strict=True)],
            t("Share, %"): (100 * domains["share"]).round(2),
            t("from (95%)"): (100 * domains["low"]).round(2),
            t("to (95%)"): (100 * domains["high"]).round(2),
            t("Lift"): domains["lift"].round(2),
            t("Tokens (n)"): domains["n"],
            t("Documents"): domains["documents"],
            t("Found twice"): [t("yes") if one else t("no") for one in domains["confirmed"]],
        }
    )


def frequent_table(ctx: PageContext, card: ExpertCard) -> pd.DataFrame:
    """Tokens that are most often routed to it."""
    t, words, rows = ctx.t, words_of(card), card.tokens.frequent
    return pd.DataFrame(
        {
            t("Token"): [words(int(token_id)) or f"#{token_id}" for token_id in rows["token_id"]],
            t("Runs for it (n)"): rows["runs"].astype("int64"),
            t("of its occurrences (n)"): rows["n"].astype("int64"),
            t("Share, %"): (100 * rows["share"].astype(float)).round(1),
        }
    )


def characteristic_table(ctx: PageContext, card: ExpertCard) -> pd.DataFrame:
    """Tokens and kinds of word for which it runs more often than for others."""
    t, words, rows = ctx.t, words_of(card), card.tokens.characteristic
    return pd.DataFrame(
        {
            t("Runs more often for"): [
                feature_name(kind, value, words).text(t)
                for kind, value in zip(rows["kind"], rows["value"], strict=True)
            ],
            t("Lift"): rows["lift"].astype(float).round(2),
            t("from (95%)"): rows["low"].astype(float).round(2),
            t("to (95%)"): rows["high"].astype(float).round(2),
            t("Tokens (n)"): rows["n"].astype("int64"),
            t("Documents"): rows["documents"].astype("int64"),
            t("Found twice"): [t("yes") if one else t("no") for one in rows["confirmed"]],
        }
    )


def partner_table(ctx: PageContext, card: ExpertCard) -> pd.DataFrame:
    """Partners furthest from chance, most together first."""
    t, rows = ctx.t, card.partners
    return pd.DataFrame(
        {
            t("Expert"): [f"{card.layer}:{expert}" for expert in rows["expert_id"]],
            t("Over chance"): rows["over_chance"].astype(float).round(2),
            t("from (95%)"): rows["low"].astype(float).round(2),
            t("to (95%)"): rows["high"].astype(float).round(2),
            t("Common tokens (n)"): rows["n"].astype("int64"),
        }
    )


def loss_table(ctx: PageContext, found: Ablation) -> pd.DataFrame:
    """What is lost by task, in points, with intervals as text."""
    t, rows = ctx.t, found.tasks

    def points(name: str) -> list[str]:
        return [
            f"{value:+.2f} ({low:+.2f} – {high:+.2f})"
            for value, low, high in zip(rows[name], rows[f"{name}_low"], rows[f"{name}_high"], strict=True)
        ]

    return pd.DataFrame(
        {
            t("Task"): [spoken(name, t) for name in rows["task"]],
            t("Agreement with dense, points"): points("agreement"),
            t("Accuracy, points"): points("accuracy"),
            t("Probability, points"): points("moved"),
            t("Texts (n)"): rows["n"],
        }
    )


def equals_frame(card: ExpertCard, found: Ablation) -> pd.DataFrame:
    """(name, moved, low, high, load, own) of the expert and of those it is compared with."""
    own = {"name": f"{card.layer}:{card.expert}", "moved": found.moved, "low": found.low, "high": found.high,
           "load": found.load, "own": True}  # fmt: skip
    rows = [
        {"name": f"{card.layer}:{row.expert_id}", "moved": row.moved, "low": row.moved_low, "high": row.moved_high,
         "load": row.load, "own": False}
        for row in found.controls.itertuples()
    ]  # fmt: skip
    return pd.DataFrame([own, *rows])
