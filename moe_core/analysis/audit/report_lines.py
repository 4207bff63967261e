"""A report as plain lines for a terminal, in the order in which an auditor asks: who, is it valid, three verdicts,
figures, what it does not show."""

from collections.abc import Sequence

import pandas as pd

from moe_core.analysis.audit.audit import AuditReport
from moe_core.analysis.audit.compute import LATENCY_NOTE, UNITS
from moe_core.analysis.audit.validity import STAMP

MOST_ROWS = 12
METHOD = (
    "Document = {unit}. Labels permuted {permutations} times{within}; family-wise error {alpha:.0%} over all layers, "
    "experts and groups together (largest p of one family that counts: {critical:.3f}); an expert is flagged only if "
    "its share also differs by {difference:.0%} of a layer's choices or by a ratio outside {low:g} to {high:g}."
)
LIMITS = (
    "What this does not show: a routing difference is not harm, and shares add up to 1, so that one expert going up "
    "pushes others down; the largest contributor is named, not a cause. No difference found is not equality."
)
Table = tuple[list[str], list[list[str]]]


def heading(report: AuditReport) -> list[str]:
    """Groups, exclusions, the stamp if there is one, and the three verdicts."""
    documents = report.documents
    sizes = ", ".join(
        f"{row.group}: {counted(row.documents, 'document')}, {counted(row.tokens, 'token')}"
        f"{'' if row.tested else f' (too small to test: {row.documents})'}"
        for row in documents.sizes.itertuples()
    )
    lines = [f"Groups by {documents.group_column}: {sizes}"]
    lines += [f"Left out: {counted(e.n, e.what)}: {e.reason.text()}" for e in documents.excluded]
    if not report.validity.valid:
        lines += ["", STAMP, *(f"  {reason.text()}." for reason in report.validity.reasons)]
    lines += [f"Note: {warning.text()}." for warning in report.validity.warnings]
    lines += ["", *(f"{name.upper()}: {v.sentence.text()}." for name, v in report.verdicts.items())]
    lines += outcome_lines(report)
    if report.marginal is not None:
        found = "something is flagged" if report.marginal.flagged else "nothing is flagged"
        lines.append(f"Without strata ({documents.n:,} documents as they are): {found}.")
    return lines


def outcome_lines(report: AuditReport) -> list[str]:
    """What counts as favourable, and what was assumed; none without an outcome."""
    result = report.outcome
    if result is None:
        return []
    said = (
        f"Outcome {result.column}: favourable is {result.favourable.text()}; "
        f"{counted(result.unknown, 'request')} without an outcome."
    )
    return [said, *(f"Note: {note.text()}." for note in result.notes)]


def counted(n: int, what: str) -> str:
    """`1 document`, `1,200 documents`; `what` in the singular or the plural."""
    word = what.removesuffix("s")
    return f"{n:,} {word if n == 1 else word + 's'}"


def layer_table(report: AuditReport) -> Table:
    rows = [
        [str(r.layer), f"{r.jsd_debiased:.5f}", f"{r.p:.3f}", f"{r.p_joint:.3f}", "yes" if r.flagged else "",
         str(r.contributor), str(r.documents), f"{r.deff:.1f}", f"{r.icc:.4f}", f"{r.cramers_v:.3f}"]
        for r in report.routing.layers.itertuples()
    ]  # fmt: skip
    return ["layer", "divergence (bits)", "p", "p over all", "flagged", "contributor", "documents", "deff", "ICC",
            "V"], rows  # fmt: skip


def cell_table(report: AuditReport) -> Table:
    """The tested cells with the largest abs(t)."""
    cells = report.routing.cells
    top = cells.loc[cells["t"].abs().sort_values(ascending=False, kind="stable").index].dropna(subset="t")
    rows = [
        [str(r.layer), str(r.expert_id), str(r.group), str(r.reference), f"{r.share:.2%}", f"{r.reference_share:.2%}",
         f"{r.low:+.2%} to {r.high:+.2%}", f"{r.p_maxt:.3f}", f"{r.q_bh:.3f}", "yes" if r.flagged else ""]
        for r in top.head(MOST_ROWS).itertuples()
    ]  # fmt: skip
    return ["layer", "expert", "group", "against", "share", "of those", "difference (95 %)", "p maxT", "q BH",
            "flagged"], rows  # fmt: skip


def latency_lines(report: AuditReport) -> list[str]:
    """Median and 95th percentile by group, and that they prove nothing; none where the log holds no latency."""
    rows = report.compute.latency
    if rows.empty:
        return []
    of_groups = "; ".join(
        f"{r.group} {r.p50_ms:.1f} ({r.p50_low:.1f} to {r.p50_high:.1f}) and {r.p95_ms:.1f}, n = {r.n:,}"
        for r in rows.itertuples()
    )
    return [f"Latency in ms, median (95 %) and 95th percentile ({LATENCY_NOTE}): {of_groups}"]


def compute_table(report: AuditReport) -> Table:
    rows = [
        [str(r.metric), str(r.group), str(r.reference), f"{r.mean:.4g}", f"{r.reference_mean:.4g}", f"{r.ratio:.3f}",
         f"{r.low:+.3g} to {r.high:+.3g}", "equal" if pd.isna(r.p_maxt) else f"{r.p_maxt:.3f}",
         "yes" if r.flagged else "", UNITS[str(r.metric)]]
        for r in report.compute.metrics.itertuples()
    ]  # fmt: skip
    return ["measure", "group", "against", "mean", "of those", "ratio", "difference (95 %)", "p", "flagged",
            "unit"], rows  # fmt: skip


def outcome_tables(report: AuditReport) -> list[Table]:
    """Rates, parity and ratios; none without an outcome."""
    result = report.outcome
    if result is None:
        return []
    rates = [[str(r.metric), str(r.group), str(r.n), f"{r.rate:.3f}", f"{r.low:.3f} to {r.high:.3f}"]
             for r in result.rates.itertuples()]  # fmt: skip
    parity = [[str(r.metric), f"{r.value:.3f}", f"{r.low:.3f} to {r.high:.3f}"] for r in result.parity.itertuples()]
    rule = f"{report.settings.outcome_ratio:.0%} rule of thumb"
    ratios = [[str(r.group), str(r.against), f"{r.ratio:.3f}", f"{r.low:.3f} to {r.high:.3f}", str(r.rule)]
              for r in result.ratios.itertuples()]  # fmt: skip
    return [
        (["rate", "group", "n", "value", "95 %"], rates),
        (["parity", "value", "95 %"], parity),
        (["selection of", "against", "ratio", "95 %", rule], ratios),
    ]


def self_test_lines(report: AuditReport) -> list[str]:
    negative, positive = report.self_tests.negative, report.self_tests.positive
    plant = positive.plant
    seen = "found" if positive.found else "missed"
    return [
        f"Negative control: {negative.found} of {negative.shuffles} label shuffles by {negative.unit} found different "
        f"({negative.limits[0]} to {negative.limits[1]} expected): {_passed(negative.passed)}",
        f"Positive control: layer {plant.layer}, expert {plant.expert_id}, {plant.share:.1%} to {plant.share_with:.1%} "
        f"planted in {plant.group}: {seen} (p = {positive.p_joint:.3f}): {_passed(positive.passed)}",
    ]


def rare_case_lines(report: AuditReport) -> list[str]:
    """The worst bucket by word frequency; none without a dense run of the same texts."""
    rare = report.rare_cases
    if rare is None:
        return []
    worst = rare.buckets.iloc[rare.worst]
    lines = [
        f"Rare cases: {rare.lost} of {rare.n} answers differ from the dense original; worst word-frequency bucket "
        f"{int(worst['bucket'])} (0 = rarest words): {worst['loss']:.1%} of {int(worst['n'])} "
        f"({worst['low']:.1%} to {worst['high']:.1%}), p = {rare.worst_p:.3f}"
    ]
    if rare.rare_minus_common is not None:
        point, low, high = rare.rare_minus_common
        lines.append(f"  rarest minus most common at equal difficulty: {point:+.1%} ({low:+.1%} to {high:+.1%})")
    return lines


def window_table(frame: pd.DataFrame) -> Table:
    """One row per window, as `windows.watch`."""
    rows = [
        [f"{r.start:%Y-%m-%d %H:%M}", str(r.documents), *(
            [f"{r.p:.4f}", f"{r.largest_difference:.2%}", f"{r.minimum_detectable:.2%}",
             "" if pd.isna(r.compute_ratio) else f"{r.compute_ratio:.3f}",
             "" if pd.isna(r.outcome_difference) else f"{r.outcome_difference:.1%}",
             ", ".join(name for name, found in (("routing", r.flagged), ("compute", r.compute_flagged),
                                                ("outcome", r.outcome_flagged)) if found)]
            if r.audited else ["", "", "", "", "", f"not audited: {r.reason.text()}"]
        )]
        for r in frame.itertuples()
    ]  # fmt: skip
    return ["window from (UTC)", "documents", "p routing", "largest difference", "detectable", "compute ratio",
            "outcome difference", "flagged"], rows  # fmt: skip


def window_lines(frame: pd.DataFrame, report: AuditReport) -> list[str]:
    """How errors are controlled over windows."""
    audited = int(frame["audited"].sum())
    if not audited:
        return ["No window was audited."]
    return [
        f"{counted(audited, 'window')} audited, each verdict of each window at {report.settings.alpha / audited:.3%} "
        f"({report.settings.alpha:.0%} divided by the windows): without a difference, at most "
        f"{report.settings.alpha:.0%} of logs have an alarm of a verdict in any window. Without strata."
    ]


def method_lines(report: AuditReport) -> Sequence[str]:
    settings = report.settings
    within = "" if report.strata is None else f" within {len(report.strata.names)} strata of " + ", ".join(
        report.strata.columns
    )  # fmt: skip
    sentence = METHOD.format(
        unit=report.documents.unit, permutations=settings.permutations, within=within, alpha=settings.alpha,
        critical=report.routing.critical_p, difference=settings.min_difference, low=settings.ratio_low,
        high=settings.ratio_high,
    )  # fmt: skip
    detectable = f"Minimum detectable difference (median expert, power 80 %): {report.routing.minimum_detectable:.2%}."
    return [sentence, detectable, LIMITS]


def _passed(passed: bool) -> str:
    return "passed" if passed else "FAILED"
