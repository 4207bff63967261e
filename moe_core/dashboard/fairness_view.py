"""The evidence below the verdicts: experts, layers, compute, outcome, time, self tests, limits, downloads."""

import json
from urllib.parse import quote

import pandas as pd
import streamlit as st

from moe_core.analysis.audit.cell_requests import cell_requests
from moe_core.analysis.audit.compute import LATENCY, LATENCY_NOTE
from moe_core.analysis.audit.question import Audited
from moe_core.analysis.audit.routing import RoutingResult
from moe_core.analysis.audit.windows import LENGTHS
from moe_core.charts import fairness as charts
from moe_core.dashboard import fairness_data, fairness_tables, fairness_words, filters, widgets
from moe_core.dashboard.context import PageContext

WITHIN, AS_THEY_ARE = "within", "marginal"
MOST_LINKS = 8
MOST_ROWS = 9  # of a table that does not scroll


def routing(ctx: PageContext, audited: Audited) -> None:
    """Experts of one comparison as chart and table, the requests behind one of them, layers."""
    t = ctx.t
    left, right = st.columns(2) if audited.report.marginal is not None else (st.container(), st.container())
    with left:
        result = _result(ctx, audited)
    pairs = list(dict.fromkeys(zip(result.cells["group"], result.cells["reference"], strict=True)))
    labels = {
        str(number): t("{group} against {reference}").format(group=group, reference=fairness_words.group(reference, t))
        for number, (group, reference) in enumerate(pairs)
    }
    number = "0"
    if len(pairs) > 1:
        with right:
            number = filters.choice(
                t("Comparison"), list(labels), labels, key="fairness_comparison", parameter="comparison",
                default=str(_clearest(result, pairs)),
            )  # fmt: skip
    group, reference = pairs[int(number)]
    cells = result.cells[(result.cells["group"] == group) & (result.cells["reference"] == reference)]
    tested = int(cells["t"].notna().sum())
    with widgets.card(
        t("Which experts run more or less often?"),
        t("Difference of shares of a layer's choices with 95% interval, in points; n = {n:,} documents").format(
            n=int(result.layers["documents"].max())
        ),
        key="fairness_cells",
    ):
        st.text(labels[number])
        widgets.chart(
            charts.difference_by_cell(cells, t=t, dark=ctx.dark), key="fairness_cells_chart",
            alt=charts.difference_by_cell_alt(cells, t=t),
        )  # fmt: skip
        note = t("diamond = flagged: significant over all tests and large; circle = not flagged.")
        if tested > charts.MOST_CELLS:
            more = t("The {n} clearest of {tested:,} are drawn.").format(n=charts.MOST_CELLS, tested=tested)
            note = f"{note} {more}"
        st.caption(f"{t('How to read it')}: {note}")
        widgets.table(fairness_tables.cells(cells, t), key="fairness_cells_table", height=320)
        if not cells["flagged"].any():
            st.caption(
                t("Nothing is flagged. That is not equality: a difference of {detectable:.1f} points would have been "
                  "found in 4 of 5 such logs, a smaller one often not.").format(
                    detectable=100 * result.minimum_detectable
                )
            )  # fmt: skip
    with widgets.error_boundary(ctx):
        _requests(ctx, audited, cells.dropna(subset=["t"]), group, reference)
    _layers(ctx, result)


def tables(ctx: PageContext, audited: Audited) -> None:
    """Compute, latency and outcome by group."""
    t, report = ctx.t, audited.report
    with widgets.card(
        t("What does each group pay?"),
        t("Means over documents, all documents whatever the strata; flagged: p at most 0.05 and a ratio beyond 5%"),
        key="fairness_compute_table_card",
    ):
        _table(fairness_tables.compute(report, t), key="fairness_compute_table")
        if report.compute.missing:
            reasons = report.compute.missing.items()
            st.text("\n".join(f"{fairness_words.metric(k, t)}: {fairness_words.message(v, t)}" for k, v in reasons))
        if report.compute.equal:
            names = ", ".join(fairness_words.metric(name, t) for name in report.compute.equal)
            st.text(t("Equal by construction, so without p: {names}").format(names=names))
        if len(report.compute.latency):
            st.text(f"{fairness_words.metric(LATENCY, t)}: {t(LATENCY_NOTE)}")
            widgets.table(fairness_tables.latency(report, t), key="fairness_latency_table", height="content")
        st.caption(t("Both depend on what the texts say: only parallel texts compare languages."))
    if report.outcome is None:
        return
    with widgets.card(t("What does each group get?"), key="fairness_outcome_table_card"):
        result = report.outcome
        st.text(
            t("Outcome: {column}. Favourable: {value}. Unknown in {unknown:,} requests.").format(
                column=fairness_words.column(result.column, t, audited.attributes),
                value=fairness_words.message(result.favourable, t), unknown=result.unknown,
            )
        )  # fmt: skip
        for number, frame in enumerate(fairness_tables.outcome(report, t)):
            if len(frame):
                _table(frame, key=f"fairness_outcome_{number}")
        if result.exact_p is not None:
            p = fairness_tables.probability(result.exact_p)
            st.caption(t("Fisher's exact test of the two groups, p: {p}").format(p=p))
        for note in result.notes:
            st.text(fairness_words.message(note, t))
        st.caption(
            t("The rule of thumb is {rule:.0%} of the highest rate; equal rates and equal errors cannot both hold "
              "where base rates differ.").format(rule=report.settings.outcome_ratio)
        )  # fmt: skip


def over_time(ctx: PageContext, audited: Audited) -> None:
    """The same audit by windows, made when the expander is opened."""
    t = ctx.t
    with st.expander(t("The same audit over time"), key="fairness_time", on_change="rerun") as expander:
        if not expander.open:
            return
        labels = {"hour": t("one hour"), "day": t("one day"), "week": t("one week")}
        length = filters.choice(
            t("Length of a window"), list(LENGTHS), labels, key="fairness_window", parameter="window", default="day"
        )  # fmt: skip
        with st.spinner(t("Auditing …")), widgets.error_boundary(ctx):
            key = json.dumps([audited.identity, repr(audited.question), audited.report.documents.n,
                              audited.report.settings.reference], default=str)  # fmt: skip
            frame = fairness_data.over_time(audited, LENGTHS[length], key)
            widgets.chart(
                charts.difference_over_time(frame, t=t, dark=ctx.dark), key="fairness_time_chart",
                alt=charts.difference_over_time_alt(frame, t=t),
            )  # fmt: skip
            st.caption(charts.difference_over_time_alt(frame, t=t))
            st.caption(
                t("Largest difference of any expert in each window; each verdict of each window is tested at 5% "
                  "divided by the number of windows, so that watching for long makes no alarm likely. Diamond = "
                  "routing flagged. Without strata.")
            )  # fmt: skip
            _table(fairness_tables.windows(frame, t), key="fairness_time_table")


def downloads(ctx: PageContext, audited: Audited) -> None:
    """The experts as CSV, the whole report as JSON; both say whether the audit is valid and of demo data."""
    t = ctx.t
    frame = audited.report.routing.cells.assign(
        valid=audited.report.validity.valid, demo_data=audited.record.demo, runs=" ".join(audited.run_ids)
    )
    with st.container(horizontal=True):
        widgets.csv_download(ctx, frame, file_name="audit_cells.csv", key="fairness_csv")
        st.download_button(
            t("Download JSON"),
            lambda: json.dumps(audited.document(), ensure_ascii=False, allow_nan=False, default=str, indent=1).encode(),
            file_name="audit.json", mime="application/json", key="fairness_json", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip


def _clearest(result: RoutingResult, pairs: list[tuple[str, str]]) -> int:
    """The number of the comparison that the verdict speaks of."""
    tested = result.cells.dropna(subset=["t"])
    flagged = tested[tested["flagged"].astype(bool)]
    rows = tested if flagged.empty else flagged
    top = rows.loc[rows["t"].abs().idxmax()]
    return pairs.index((top["group"], top["reference"]))


def _table(frame: pd.DataFrame, *, key: str) -> None:
    """A short table in full, a long one that scrolls."""
    widgets.table(frame, key=key, height=322 if len(frame) > MOST_ROWS else "content")


def _result(ctx: PageContext, audited: Audited) -> RoutingResult:
    """Within strata or as people are in fact treated, where there are strata."""
    report = audited.report
    if report.marginal is None:
        return report.routing
    t = ctx.t
    names = {WITHIN: t("within strata"), AS_THEY_ARE: t("documents as they are")}
    chosen = filters.choice(
        t("Experts and layers"), list(names), names, key="fairness_analysis", parameter="analysis"
    )  # fmt: skip
    return report.marginal if chosen == AS_THEY_ARE else report.routing


def _requests(ctx: PageContext, audited: Audited, cells: pd.DataFrame, group: str, reference: str) -> None:
    """The requests that use one expert most, each with its link to the audit log."""
    t = ctx.t
    if cells.empty:
        return
    ordered = cells.loc[cells["t"].abs().sort_values(ascending=False, kind="stable").index]
    said = t("Layer {layer}, expert {expert}: {difference:+.1f} points{mark}")
    labels = {
        f"{int(row.layer)}:{int(row.expert_id)}": said.format(
            layer=int(row.layer), expert=int(row.expert_id), difference=100 * float(row.difference),
            mark=f" {fairness_tables.MARK}" if row.flagged else "",
        )
        for row in ordered.itertuples()
    }  # fmt: skip
    with widgets.card(
        t("Which requests are behind one expert?"),
        t("Those that use it most in each group, with the share of the layer's choices that it got"),
        key="fairness_requests",
    ):
        chosen = filters.choice(t("Expert"), list(labels), labels, key="fairness_cell", parameter="cell")
        layer, expert = (int(part) for part in chosen.split(":"))
        rows = cell_requests(audited.report.documents, layer, expert, group, reference, most=MOST_LINKS)
        frame = pd.DataFrame({
            t("Group"): rows["group"], t("Request ID"): rows["request_id"],
            t("Share, %"): (100 * rows["share"]).round(1), t("Choices"): rows["choices"], t("of (n)"): rows["of"],
            t("Decisions"): [f"audit_log?request={quote(str(r), safe='')}&lang={ctx.lang}" for r in rows["request_id"]],
        })  # fmt: skip
        link = st.column_config.LinkColumn(display_text=t("Open in the audit log"))
        st.dataframe(
            frame, key="fairness_requests_table", hide_index=True, placeholder="—",
            column_config=widgets.number_formats(frame) | {t("Decisions"): link},
        )  # fmt: skip
        st.caption(t("An example is no cause: read it beside the difference of the whole group."))


def _layers(ctx: PageContext, result: RoutingResult) -> None:
    t = ctx.t
    left, right = widgets.chart_columns([2, 3], key="fairness_layers")
    with left:
        widgets.chart_card(
            ctx, charts.divergence_by_layer, charts.divergence_by_layer_alt, result.layers,
            title=t("In which layers does routing differ?"),
            caption=t("Jensen-Shannon divergence of the groups minus what chance gives; 0 = like shuffled groups"),
            note=t("diamond with p = flagged; circle = not flagged."), key="fairness_layers",
        )  # fmt: skip
    with right, widgets.card(
        t("The layers as numbers"),
        t("p of the layer alone and over all tests; ICC and design effect say how alike the tokens of a document are"),
        key="fairness_layer_numbers",
    ):
        widgets.table(fairness_tables.layers(result.layers, t), key="fairness_layer_table", height="content")
        if result.activation is not None:
            with st.expander(t("How often experts run, per token"), key="fairness_activation"):
                widgets.table(
                    fairness_tables.activation(result.activation, t), key="fairness_activation_table", height=320
                )
