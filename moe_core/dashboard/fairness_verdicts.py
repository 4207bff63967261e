"""The top of a finished audit: stamp, who is compared, three verdicts that are never merged."""

import pandas as pd
import streamlit as st

from moe_core.analysis.audit.audit import AuditReport
from moe_core.analysis.audit.question import Audited
from moe_core.analysis.audit.validity import STAMP
from moe_core.analysis.audit.verdicts import Finding
from moe_core.analysis.message import N_
from moe_core.dashboard import fairness_tables, fairness_words, style, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.i18n import Translate

FINDINGS: dict[Finding, str] = {
    "difference": N_("difference found"), "none found": N_("none found"), "not examined": N_("not examined"),
}  # fmt: skip
MARKS: dict[Finding, str] = {"difference": "◆", "none found": "○", "not examined": "–"}
METRICS = ("routing_difference", "routing_divergence", "minimum_detectable", "compute_ratio", "parity_difference")


def finding(ctx: PageContext, audited: Audited) -> str:
    """The title: the stamp, or the three verdicts in a word each."""
    if not audited.report.validity.valid:
        return ctx.t(STAMP)
    verdicts = audited.report.verdicts
    return ctx.t("Routing: {routing} · Compute: {compute} · Outcome: {outcome}").format(
        **{name: ctx.t(FINDINGS[verdict.finding]) for name, verdict in verdicts.items()}
    )


def stamp(ctx: PageContext, audited: Audited) -> None:
    """Where the audit is not valid: why, and the stamp across everything below."""
    if audited.report.validity.valid:
        return
    st.html(style.stamp(ctx.t(STAMP)))
    with st.container(key="card_error_fairness_stamp"):
        st.header(ctx.t("Not valid: do not use these numbers"), anchor=False)
        for reason in audited.report.validity.reasons:
            st.text(fairness_words.message(reason, ctx.t))


def notices(ctx: PageContext, audited: Audited) -> None:
    """What limits a valid audit all the same: demo data first."""
    warnings = audited.report.validity.warnings
    if warnings:
        with st.container(key="card_incomplete_fairness", gap="xsmall"):
            for warning in warnings:
                st.text(fairness_words.message(warning, ctx.t))


def who(ctx: PageContext, audited: Audited) -> None:
    """Group sizes before any result, and what was left out."""
    t, documents = ctx.t, audited.report.documents
    by = fairness_words.column(documents.group_column, t, audited.attributes)
    with widgets.card(t("Who is compared?"), key="fairness_who"):
        unit = fairness_words.column(documents.unit, t, audited.attributes)
        st.text(
            t("Groups by: {column}. One document: {unit}. n = {documents:,} documents, {requests:,} requests.").format(
                column=by, unit=unit, documents=documents.n, requests=len(documents.requests)
            )
        )
        widgets.table(fairness_tables.groups(audited.report, t), key="fairness_groups")
        whats = {"requests": t("requests"), "documents": t("documents")}
        for excluded in documents.excluded:
            st.text(
                t("Left out: {n:,} {what}: {reason}").format(
                    n=excluded.n, what=whats.get(excluded.what, excluded.what),
                    reason=fairness_words.message(excluded.reason, t),
                )
            )  # fmt: skip


def verdicts(ctx: PageContext, audited: Audited) -> None:
    """Three cards side by side: question, finding, largest number with n and interval, the verdict in a sentence."""
    t, report = ctx.t, audited.report
    parts = {
        "routing": (t("Are they routed differently?"), _routing(report, t)),
        "compute": (t("Are they charged differently?"), _compute(report, t)),
        "outcome": (t("Are they answered differently?"), _outcome(report, t)),
    }
    columns = st.container(key="thirds_fairness_verdicts").columns(len(parts))
    for column, (name, verdict) in zip(columns, report.verdicts.items(), strict=True):
        question, (metric, label, value, basis) = parts[name]
        with column, widgets.card(question, key=f"fairness_{name}"):
            st.markdown(f"**{MARKS[verdict.finding]} {t(FINDINGS[verdict.finding])}**")
            st.metric(label, value, help=widgets.explanation(ctx, metric))
            st.caption(basis)
            st.text(fairness_words.message(verdict.sentence, t) + t("."))
    if report.marginal is not None:
        found = t("something is flagged") if report.marginal.flagged else t("nothing is flagged")
        st.caption(
            t("Within strata above. Without strata ({documents:,} documents as they are): {found}.").format(
                documents=report.documents.n, found=found
            )
        )


def _routing(report: AuditReport, t: Translate) -> tuple[str, str, str, str]:
    tested = report.routing.cells.dropna(subset=["t"])
    tested = tested[tested["flagged"].astype(bool)] if tested["flagged"].any() else tested
    label, detectable = t("Clearest difference of an expert"), 100 * report.routing.minimum_detectable
    if tested.empty:
        return "routing_difference", label, "—", t("no expert was tested")
    top = tested.loc[tested["t"].abs().idxmax()]
    basis = t(
        "layer {layer}, expert {expert}; 95% {low:+.1f} to {high:+.1f} points; p = {p:.3f} over all; n = {n:,} "
        "documents. Smallest difference to be found in 4 of 5 logs: {detectable:.1f} points"
    ).format(
        layer=int(top["layer"]), expert=int(top["expert_id"]), low=100 * float(top["low"]),
        high=100 * float(top["high"]), p=float(top["p_joint"]), n=int(report.routing.layers["documents"].max()),
        detectable=detectable,
    )  # fmt: skip
    return "routing_difference", label, _points(100 * float(top["difference"]), t), basis


def _compute(report: AuditReport, t: Translate) -> tuple[str, str, str, str]:
    rows = report.compute.metrics
    label = t("Largest ratio of a measure")
    known = rows[rows["p_maxt"].notna()] if len(rows) else rows
    if known.empty:
        return "compute_ratio", label, "—", t("no measure differs between documents")
    known = known[known["flagged"].astype(bool)] if known["flagged"].any() else known
    top = known.loc[(known["ratio"].astype(float) - 1).abs().idxmax()]
    against = abs(float(top["reference_mean"]))
    basis = t(
        "{metric}; difference 95% {low:+.1%} to {high:+.1%} of the other mean; p = {p:.3f}; n = {n:,} and {m:,} "
        "documents"
    ).format(
        metric=fairness_words.metric(str(top["metric"]), t), low=float(top["low"]) / against,
        high=float(top["high"]) / against, p=float(top["p_maxt"]), n=int(top["n"]), m=int(top["reference_n"]),
    )  # fmt: skip
    return "compute_ratio", label, f"{float(top['ratio']):.2f}×", basis


def _outcome(report: AuditReport, t: Translate) -> tuple[str, str, str, str]:
    label = t("Demographic parity difference")
    if report.outcome is None:
        return "parity_difference", label, "—", t("no outcome was chosen")
    parity = report.outcome.parity.set_index("metric").loc["demographic_parity_difference"]
    rates = report.outcome.rates
    n = int(rates.loc[rates["metric"] == "selection_rate", "n"].sum())
    basis = t("between highest and lowest rate; 95% {low:.1f} to {high:.1f} points; n = {n:,} documents").format(
        low=100 * float(parity["low"]), high=100 * float(parity["high"]), n=n
    )
    return "parity_difference", label, t("{points:.1f} points").format(points=100 * float(parity["value"])), basis


def _points(points: float, t: Translate) -> str:
    return "—" if pd.isna(points) else t("{points:+.1f} points").format(points=points)
