"""Numbers and tables of the page about experts, with headings in the visitor's language."""

import pandas as pd

from moe_core.analysis.specialization.calling import COLUMNS
from moe_core.analysis.specialization.document import words_of
from moe_core.analysis.specialization.names import feature_name
from moe_core.analysis.specialization.report import Specialization
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.specialization_filter import Chosen
from moe_core.dashboard.widgets import Number, literal, percent

METRICS = ("specialization_lift", "replicated_findings", "vocabulary_sample", "layer_agreement", "pair_lift",
           "cluster_stability")  # fmt: skip
HEATMAP_KINDS = ("domain", "class", "piece", "position")
MOST_COLUMNS = 128


def kpis(ctx: PageContext, found: Specialization) -> list[Number]:
    """Four numbers: experts with a finding, findings that held, the largest lift, the sample."""
    t, called = ctx.t, found.called
    strongest, basis = "—", t("nothing was found twice")
    runs_for = called[called["held_lift"] > 1]
    if len(runs_for):
        row = runs_for.iloc[0]
        strongest = f"{row['held_lift']:.1f}×"
        basis = t("{layer}:{expert} for {what}; 95% interval {low:.1f} to {high:.1f}, n = {n:,}").format(
            layer=int(row["layer"]), expert=int(row["expert_id"]),
            what=literal(feature_name(row["kind"], row["value"], words_of(found)).text(t)), low=row["held_low"],
            high=row["held_high"], n=int(row["held_n"]),
        )  # fmt: skip
    return [
        Number(
            metric="specialization_lift", label=t("Clearest specialist"), value=strongest, basis=basis,
        ),
        Number(
            metric="replicated_findings", value=f"{found.n_called:,}",
            basis=t("of {found:,} found on the first half; {tested:,} tests, n = {n:,} documents").format(
                found=found.n_found, tested=found.n_tested, n=found.documents
            ),
        ),
        Number(
            metric="vocabulary_sample", value=percent(found.sample.share, 0 if found.sample.share > 0.1 else 1),
            basis=t("for words and positions; n = {tokens:,} tokens of {n:,} documents").format(
                tokens=found.sample.n_tokens, n=found.sample.n_documents
            ),
        ),
    ]  # fmt: skip


def heatmap_frame(ctx: PageContext, found: Specialization, chosen: Chosen, layer: int | None) -> pd.DataFrame:
    """Cells of domains, classes and positions for the heatmap, in that order, one layer or all."""
    parts = []
    for part in found.parts:
        rows = [i for i, (kind, _) in enumerate(part.features) if kind in HEATMAP_KINDS]
        if rows:
            mask = part.tested & False
            mask[rows] = True
            if layer is not None:
                mask[:, [other for other in range(found.n_layers) if other != layer]] = False
            parts.append(part.frame(mask))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
    frame = chosen.keep(frame)
    words = words_of(found)
    keys = list(zip(frame["kind"], frame["value"], strict=True))
    names = {(kind, value): feature_name(kind, value, words).text(ctx.t) for kind, value in set(keys)}
    return frame.assign(label=[names[key] for key in keys])


def called_table(ctx: PageContext, found: Specialization, called: pd.DataFrame) -> pd.DataFrame:
    """Called findings with the numbers of the held-out half, beside those of all documents."""
    t, words = ctx.t, words_of(found)
    return pd.DataFrame(
        {
            t("Expert"): [f"{a}:{b}" for a, b in zip(called["layer"], called["expert_id"], strict=True)],
            t("Runs more or less often for"): [
                feature_name(kind, value, words).text(t)
                for kind, value in zip(called["kind"], called["value"], strict=True)
            ],
            t("Lift, held-out half"): called["held_lift"].astype(float).round(2),
            t("from (95%)"): called["held_low"].astype(float).round(2),
            t("to (95%)"): called["held_high"].astype(float).round(2),
            t("Tokens (n)"): called["held_n"].astype("int64"),
            t("Documents"): called["held_documents"].astype("int64"),
            t("Lift, all documents"): called["lift"].astype(float).round(2),
            t("All experts of the layer"): called["layer_lift"].astype(float).round(2),
            t("Chance, up to"): called["chance_high"].astype(float).round(2),
            t("Share of its runs, %"): (100 * called["excess"].astype(float)).round(1),
        }
    )


def partner_table(ctx: PageContext, partners: pd.DataFrame) -> pd.DataFrame:
    """Pairs of experts with headings."""
    t = ctx.t
    return pd.DataFrame(
        {
            t("Layer"): partners["layer"],
            t("Experts"): [f"{a} + {b}" for a, b in zip(partners["first"], partners["second"], strict=True)],
            t("Common tokens (n)"): partners["n"],
            t("Over chance"): partners["over_chance"].round(3),
            t("from (95%)"): partners["low"].round(3),
            t("to (95%)"): partners["high"].round(3),
            t("Lift"): partners["lift"].round(3),
            t("Lift of all pairs of the layer"): partners["chance"].round(3),
        }
    )
