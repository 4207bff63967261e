"""How far the audit can be believed: its self tests, its method in one sentence, what it does not show."""

import streamlit as st

from moe_core.analysis.audit.question import Audited
from moe_core.dashboard import fairness_words, widgets
from moe_core.dashboard.context import PageContext


def self_tests(ctx: PageContext, audited: Audited) -> None:
    """Negative control, positive control and the record, each with its numbers and whether it passed."""
    t, tests, record = ctx.t, audited.report.self_tests, audited.record
    negative, positive = tests.negative, tests.positive
    passed = {True: t("✓ passed"), False: t("✗ FAILED")}
    with widgets.card(
        t("Does the audit work on this log?"), t("It tests itself in every report"), key="fairness_self_tests"
    ):
        st.markdown(f"**{t('Negative control')}**: {passed[negative.passed]}")
        st.text(
            t("{found} of {shuffles} label shuffles by {unit} were found different; {low} to {high} are expected.")
            .format(
                found=negative.found, shuffles=negative.shuffles, unit=fairness_words.column(negative.unit, t),
                low=negative.limits[0], high=negative.limits[1],
            )
        )  # fmt: skip
        missed = t("! missed: too few documents") if positive.underpowered else passed[positive.passed]
        st.markdown(f"**{t('Positive control')}**: {missed}")
        plant = positive.plant
        sentence = (
            t("A difference planted in layer {layer}, expert {expert} ({share:.1%} to {share_with:.1%}) was found, "
              "p = {p:.3f}.")
            if positive.found else
            t("A difference planted in layer {layer}, expert {expert} ({share:.1%} to {share_with:.1%}) was not found, "
              "p = {p:.3f}.")
        )  # fmt: skip
        st.text(
            sentence.format(
                layer=plant.layer, expert=plant.expert_id, share=plant.share, share_with=plant.share_with,
                p=positive.p_joint,
            )
        )  # fmt: skip
        st.markdown(f"**{t('Record')}**: {passed[record.passed]}")
        st.text(
            t("n = {decisions:,} decisions counted; batches left out as damaged: {batches:,}; requests not recorded: "
              "{requests:,}.").format(
                decisions=record.decisions, batches=record.left_out_batches, requests=record.unrecorded_requests
            )
        )  # fmt: skip


def limits(ctx: PageContext, audited: Audited) -> None:
    """What this does not show, the method, rare cases where the dense original answered the same texts."""
    t, report = ctx.t, audited.report
    settings = report.settings
    with widgets.card(t("What this does not show"), key="fairness_limits"):
        st.markdown(
            "\n".join(
                f"- {line}"
                for line in (
                    t("A routing difference is not harm, and equal routing is not equal treatment."),
                    t("Shares add up to 1: one expert that goes up pushes others down. The largest contributor is "
                      "named, not a cause."),
                    t("No difference found is not equality: read it with the smallest difference that would be found."),
                    t("Choosing groups, strata or outcome after seeing results voids the error rates."),
                )
            )
        )  # fmt: skip
        st.text(
            t("Labels dealt again {permutations:,} times; family-wise error {alpha:.0%} over all layers, experts and "
              "groups together. Flagged also needs {difference:.0%} of a layer's choices or a ratio outside {low:g} to "
              "{high:g}.")
            .format(
                permutations=settings.permutations, alpha=settings.alpha, difference=settings.min_difference,
                low=settings.ratio_low, high=settings.ratio_high,
            )
        )  # fmt: skip
        if report.strata is not None:
            names = ", ".join(fairness_words.column(name, t) for name in report.strata.columns)
            st.text(
                t("Within {n} strata of: {names}").format(n=len(report.strata.names), names=names)
            )  # fmt: skip
        _rare_cases(ctx, audited)
        st.text(t("Runs: {runs}").format(runs=", ".join(audited.run_ids)))
        st.caption(t("Method and measured error rates: docs/audit-method.md; the same audit: `routelens audit`"))


def _rare_cases(ctx: PageContext, audited: Audited) -> None:
    rare = audited.report.rare_cases
    if rare is None:
        return
    worst = rare.buckets.iloc[rare.worst]
    st.text(
        ctx.t("Rare cases, whatever the group: {lost:,} of n = {n:,} answers differ from the dense original; most in "
              "fifth {bucket} of word frequency (1 = rarest words): {loss:.1%} of {of:,} ({low:.1%} to {high:.1%}), "
              "p = {p:.3f}.").format(
            lost=rare.lost, n=rare.n, bucket=int(worst["bucket"]) + 1, loss=float(worst["loss"]), of=int(worst["n"]),
            low=float(worst["low"]), high=float(worst["high"]), p=rare.worst_p,
        )
    )  # fmt: skip
