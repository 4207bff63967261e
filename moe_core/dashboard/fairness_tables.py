"""The tables of the audit page: frames of the analysis with headings, shares in percent, differences in points."""

import pandas as pd

from moe_core.analysis.audit.audit import AuditReport
from moe_core.analysis.audit.compute import UNITS
from moe_core.analysis.audit.routing_frames import MEAN_ACTIVE
from moe_core.analysis.message import N_, Message
from moe_core.dashboard import fairness_words as words
from moe_core.dashboard.i18n import Translate

MARK = "◆"
UNIT_WORDS = {
    "tokens": N_("tokens"),
    "experts, mean over layers": N_("experts, mean over layers"),
    "floating-point operations": N_("floating-point operations"),
    "share": N_("share"),
}


def groups(report: AuditReport, t: Translate) -> pd.DataFrame:
    """Who is compared, the untested groups included."""
    sizes = report.documents.sizes
    return pd.DataFrame({
        t("Group"): sizes["group"], t("Documents (n)"): sizes["documents"], t("Requests (n)"): sizes["requests"],
        t("Tokens (n)"): sizes["tokens"],
        t("Tested?"): [t("yes") if tested else t("no: too small to test") for tested in sizes["tested"]],
    })  # fmt: skip


def cells(frame: pd.DataFrame, t: Translate) -> pd.DataFrame:
    """Experts with the clearest difference first; those that were not tested at the end."""
    rows = frame.loc[frame["t"].abs().sort_values(ascending=False, kind="stable", na_position="last").index]
    return pd.DataFrame({
        t("Flagged"): [MARK if flagged else "" for flagged in rows["flagged"]],
        t("Layer"): rows["layer"], t("Expert"): rows["expert_id"], t("Group"): rows["group"],
        t("Against"): [words.group(name, t) for name in rows["reference"]],
        t("Share, %"): (100 * rows["share"]).round(2), t("Share of those, %"): (100 * rows["reference_share"]).round(2),
        t("Difference, points"): (100 * rows["difference"]).round(2), t("95% from"): (100 * rows["low"]).round(2),
        t("95% to"): (100 * rows["high"]).round(2), t("p over all"): rows["p_joint"].round(3),
        t("p maxT"): rows["p_maxt"].round(3), t("q (BH)"): [probability(q) for q in rows["q_bh"]],
        t("Detectable, points"): (100 * rows["minimum_detectable"]).round(2),
    }).reset_index(drop=True)  # fmt: skip


def activation(frame: pd.DataFrame, t: Translate) -> pd.DataFrame:
    """How often experts run, and how many a token runs, clearest first."""
    rows = frame.loc[frame["t"].abs().sort_values(ascending=False, kind="stable", na_position="last").index]
    return pd.DataFrame({
        t("Flagged"): [MARK if flagged else "" for flagged in rows["flagged"]], t("Layer"): rows["layer"],
        t("Expert"): [t("experts per token") if e == MEAN_ACTIVE else str(e) for e in rows["expert_id"]],
        t("Group"): rows["group"], t("Against"): [words.group(name, t) for name in rows["reference"]],
        t("Rate"): rows["activation"].round(3), t("Rate of those"): rows["reference_activation"].round(3),
        t("Difference"): rows["difference"].round(3), t("95% from"): rows["low"].round(3),
        t("95% to"): rows["high"].round(3), t("p over all"): rows["p_joint"].round(3),
    }).reset_index(drop=True)  # fmt: skip


def layers(frame: pd.DataFrame, t: Translate) -> pd.DataFrame:
    """Divergence and clustering of every layer."""
    return pd.DataFrame({
        t("Flagged"): [MARK if flagged else "" for flagged in frame["flagged"]], t("Layer"): frame["layer"],
        t("Divergence, 1/1000 bit"): (1000 * frame["jsd_debiased"]).round(2), t("p"): frame["p"].round(3),
        t("p over all"): frame["p_joint"].round(3),
        t("Largest contributor"): ["—" if e < 0 else f"E{e}" for e in frame["contributor"]],
        t("Documents (n)"): frame["documents"], t("Choices (n)"): frame["choices"].astype("int64"),
        t("Design effect"): frame["deff"].round(1), t("ICC"): frame["icc"].round(3),
        t("Cramér's V"): frame["cramers_v"].round(3),
    })  # fmt: skip


def compute(report: AuditReport, t: Translate) -> pd.DataFrame:
    """What each group pays; p is empty for what is equal by construction. Numbers of very different sizes stand below
    one another, so they are texts with four digits each."""
    rows = report.compute.metrics
    return pd.DataFrame({
        t("Flagged"): [MARK if flagged else "" for flagged in rows["flagged"]],
        t("Measure"): [words.metric(str(name), t) for name in rows["metric"]], t("Group"): rows["group"],
        t("Against"): [words.group(name, t) for name in rows["reference"]], t("n"): rows["n"].astype("int64"),
        t("n of those"): rows["reference_n"].astype("int64"), t("Mean"): [words.digits(v) for v in rows["mean"]],
        t("Mean of those"): [words.digits(v) for v in rows["reference_mean"]],
        t("Ratio"): rows["ratio"].astype(float).round(3),
        t("Difference, 95%"): [
            span(low, high, t) for low, high in zip(rows["low"], rows["high"], strict=True)
        ],
        t("p"): rows["p_maxt"].astype(float).round(3),
        t("Unit"): [t(UNIT_WORDS.get(UNITS[str(name)], UNITS[str(name)])) for name in rows["metric"]],
    })  # fmt: skip


def latency(report: AuditReport, t: Translate) -> pd.DataFrame:
    """Median and 95th percentile of each group, with their intervals."""
    rows = report.compute.latency
    return pd.DataFrame({
        t("Group"): rows["group"], t("n"): rows["n"], t("Median, ms"): rows["p50_ms"].round(2),
        t("Median, 95%"): [span(a, b, t, sign=False) for a, b in zip(rows["p50_low"], rows["p50_high"], strict=True)],
        t("95th percentile, ms"): rows["p95_ms"].round(2),
        t("Percentile, 95%"): [
            span(a, b, t, sign=False) for a, b in zip(rows["p95_low"], rows["p95_high"], strict=True)
        ],
    })  # fmt: skip


def windows(frame: pd.DataFrame, t: Translate) -> pd.DataFrame:
    """The three verdicts of every window; why one was not audited."""
    marks = {name: [MARK if found else "" for found in frame[name]]
             for name in ("flagged", "compute_flagged", "outcome_flagged")}  # fmt: skip
    return pd.DataFrame({
        t("Window from (UTC)"): [f"{start:%Y-%m-%d %H:%M}" for start in frame["start"]],
        t("Documents (n)"): frame["documents"], t("Routing"): marks["flagged"],
        t("Difference, points"): (100 * frame["largest_difference"].astype(float)).round(1),
        t("Detectable, points"): (100 * frame["minimum_detectable"].astype(float)).round(1),
        t("p over all"): frame["p"].astype(float).round(4), t("Compute"): marks["compute_flagged"],
        t("Largest ratio"): frame["compute_ratio"].astype(float).round(3), t("Outcome"): marks["outcome_flagged"],
        t("Parity, points"): (100 * frame["outcome_difference"].astype(float)).round(1),
        t("Not audited"): [words.message(r, t) if isinstance(r, Message) else "" for r in frame["reason"]],
    })  # fmt: skip


def outcome(report: AuditReport, t: Translate) -> list[pd.DataFrame]:
    """Rates of each group, differences with p, parity, ratios against the highest group; none without an outcome."""
    result = report.outcome
    if result is None:
        return []
    rates, tests, parity, ratios = result.rates, result.differences, result.parity, result.ratios
    return [
        pd.DataFrame({
            t("Rate"): [words.metric(str(name), t) for name in rates["metric"]], t("Group"): rates["group"],
            t("n"): rates["n"], t("Value"): rates["rate"].round(3), t("95% from"): rates["low"].round(3),
            t("95% to"): rates["high"].round(3),
        }),
        pd.DataFrame({
            t("Flagged"): [MARK if flagged else "" for flagged in tests["flagged"]],
            t("Rate"): [words.metric(str(name), t) for name in tests["metric"]], t("Group"): tests["group"],
            t("Against"): [words.group(name, t) for name in tests["reference"]],
            t("Difference, points"): (100 * tests["difference"].astype(float)).round(1),
            t("95% from"): (100 * tests["low"].astype(float)).round(1),
            t("95% to"): (100 * tests["high"].astype(float)).round(1), t("p"): tests["p_maxt"].astype(float).round(3),
        }),
        pd.DataFrame({
            t("Parity"): [words.metric(str(name), t) for name in parity["metric"]],
            t("Value"): parity["value"].round(3), t("95% from"): parity["low"].round(3),
            t("95% to"): parity["high"].round(3),
        }),
        pd.DataFrame({
            t("Group"): ratios["group"], t("Against"): ratios["against"], t("Ratio"): ratios["ratio"].round(3),
            t("95% from"): ratios["low"].round(3), t("95% to"): ratios["high"].round(3),
            t("Rule of thumb"): [t(words.RULES.get(str(rule), str(rule))) for rule in ratios["rule"]],
        }),
    ]  # fmt: skip


def probability(value: float) -> str:
    """Three decimals; never 0; an em dash where nothing was tested."""
    if value != value:
        return "—"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def span(low: float, high: float, t: Translate, *, sign: bool = True) -> str:
    """An interval in words, with signs where it is one of a difference."""
    def shown(value: float) -> str:
        return ("+" if sign and value > 0 else "") + words.digits(value)

    return t("{low} to {high}").format(low=shown(low), high=shown(high))
