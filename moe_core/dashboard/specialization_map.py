"""Clusters on the page about experts: the map, how stable they are, and a card for each with typical texts."""

import numpy as np
import pandas as pd
import streamlit as st

from moe_core.analysis.specialization.document import words_of
from moe_core.analysis.specialization.names import feature_name
from moe_core.analysis.specialization.projection import Method
from moe_core.analysis.specialization.report import Specialization
from moe_core.analysis.specialization.stability import LEAST_STABILITY, Clustering
from moe_core.analysis.specialization.token_clusters import characteristic_experts, common_features, typical_requests
from moe_core.charts import expert_map
from moe_core.charts.theme import spoken
from moe_core.dashboard import filters, specialization_data, widgets
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.specialization_data import Clusters
from moe_core.dashboard.specialization_filter import EXPERT, MAP_KEY, TOKEN, Chosen, cluster_names, on_map_click

MOST_TEXTS = 3
MOST_CHARACTERS = 160
TOP = 5


def cluster_section(ctx: PageContext, found: Specialization, clusters: Clusters, chosen: Chosen) -> None:
    """Map and stability side by side, cluster cards below."""
    t = ctx.t
    wide, narrow = widgets.chart_columns([3, 2], key="specialization_clusters")
    with wide, widgets.card(
        t("Which experts, or tokens, are alike?"),
        t("Experts by what they run for; tokens by which experts ran for them. Click a point to choose its cluster"),
        key="specialization_map_card",
    ):  # fmt: skip
        with st.container(horizontal=True):
            options = {EXPERT: t("Experts"), TOKEN: t("Tokens")}
            default = chosen.kind if chosen.kind in options else EXPERT
            kind = filters.choice(
                t("Points of the map"),
                list(options),
                options,
                key="specialization_points",
                parameter="points",
                default=default,
            )
            options = {"pca": t("Main directions (PCA)"), "tsne": t("Neighbours (t-SNE)")}
            method = filters.choice(
                t("Map"), list(options), options, key="specialization_method", parameter="map", default="pca"
            )
        _map(ctx, found, clusters, chosen, kind, "tsne" if method == "tsne" else "pca")
    with narrow:
        _stability(ctx, clusters, kind)
    _cards(ctx, found, clusters, kind)


def _clustering(clusters: Clusters, kind: str) -> Clustering | None:
    of_kind = clusters.tokens if kind == TOKEN else clusters.experts
    return None if of_kind is None else of_kind.clustering


def _map(
    ctx: PageContext, found: Specialization, clusters: Clusters, chosen: Chosen, kind: str, method: Method
) -> None:  # fmt: skip
    t, words = ctx.t, words_of(found)
    points = specialization_data.coordinates(ctx, found.run_id, kind, method)
    if kind == TOKEN and clusters.tokens is not None:
        place = clusters.tokens.point_P
        token_ids = [int(number) for number in found.sample.token_id_T[place]]
        unnamed = t("token number {token_id}")
        labels = [
            words(number) or (unnamed.format(token_id=number) if number >= 0 else t("(erased)")) for number in token_ids
        ]
        points = points.assign(cluster=clusters.tokens.label_T[place], label=labels)
    elif kind == EXPERT and clusters.experts is not None:
        experts = clusters.experts.experts
        labels = []
        for layer, expert in experts[["layer", "expert_id"]].itertuples(index=False):
            name = found.names.get((layer, expert))
            labels.append(f"{layer}:{expert}" + (f" · {name.text(t)}" if name is not None else ""))
        points = points.assign(cluster=experts["cluster"].to_numpy(), label=labels)
    else:
        points = points.assign(cluster=[], label=[])
    clustering = _clustering(clusters, kind)
    stable = clustering is not None and clustering.stable
    names = {
        int(option.partition("-")[2]): name
        for option, name in cluster_names(ctx, found, clusters).items()
        if option.startswith(kind)
    }
    widgets.chart(
        expert_map.cluster_map(
            points, names if stable else {0: ""}, chosen=chosen.number if chosen.kind == kind else None, t=t,
            dark=ctx.dark,
        ),
        key=MAP_KEY, alt=expert_map.cluster_map_alt(points, t=t),
        on_click=(lambda: on_map_click(kind)) if stable else None,
    )  # fmt: skip
    note = t("near points are alike; the axes have no unit.")
    if method == "tsne":
        note = t("neighbours are alike; distances between groups mean nothing.")
    st.caption(f"{t('How to read it')}: {note} n = {len(points):,}")


def _stability(ctx: PageContext, clusters: Clusters, kind: str) -> None:
    t, clustering = ctx.t, _clustering(clusters, kind)
    with widgets.card(
        t("How many clusters are there?"),
        t("Agreement of clusterings of data drawn again (adjusted Rand index); 1 = always the same"),
        key="specialization_stability",
    ):
        if clustering is None:
            st.markdown(t("Too few points for clusters"))
            return
        widgets.chart(
            expert_map.stability_curve(
                clustering.curve, least=LEAST_STABILITY, chosen=clustering.n_clusters, t=t, dark=ctx.dark
            ),
            key="specialization_stability_chart",
            alt=expert_map.stability_curve_alt(clustering.curve, chosen=clustering.n_clusters, t=t),
        )
        if clustering.stable:
            st.markdown(
                t("{n} clusters: the most that come out the same again, and more so than one cloud does.").format(
                    n=clustering.n_clusters
                )
            )  # fmt: skip
        else:
            st.markdown(t("No stable clusters: whatever number is chosen, other data would give other groups."))


def _cards(ctx: PageContext, found: Specialization, clusters: Clusters, kind: str) -> None:
    """One card per cluster: size, what is typical, experts, texts."""
    clustering = _clustering(clusters, kind)
    if clustering is None or not clustering.stable:
        return
    names = cluster_names(ctx, found, clusters)
    for begin in range(0, clustering.n_clusters, 3):
        columns = st.container(key=f"thirds_specialization_{begin}").columns(3)
        for column, number in zip(columns, range(begin, min(begin + 3, clustering.n_clusters)), strict=False):
            with column, st.container(key=f"card_specialization_cluster_{number}", height="stretch"):
                st.subheader(widgets.literal(names[f"{kind}-{number}"]), anchor=False)
                _card(ctx, found, clusters, kind, number)


def _card(ctx: PageContext, found: Specialization, clusters: Clusters, kind: str, number: int) -> None:
    t, words = ctx.t, words_of(found)
    if kind == TOKEN and clusters.tokens is not None:
        label_T = clusters.tokens.label_T
        st.caption(t("n = {n:,} tokens").format(n=int((label_T == number).sum())))
        rows = common_features(label_T, number, found.tokens).head(TOP)
        typical = [(feature_name(row.kind, row.value, words).text(t), float(row.lift)) for row in rows.itertuples()]
        experts = characteristic_experts(found.sample, label_T, number).head(TOP)
        weight_T = (label_T == number).astype(np.float64)
    else:
        assert clusters.experts is not None
        members = clusters.experts.experts
        experts = members[members["cluster"] == number]
        st.caption(t("n = {n:,} experts").format(n=len(experts)))
        typical = [(feature_name(*f, words).text(t), lift) for f, lift in clusters.experts.typical(number, TOP)]
        weight_T = _runs_of(found, experts)
    st.text("\n".join(f"{lift:.1f}×  {name}" for name, lift in typical) or t("no clear profile"))
    shown = [f"{layer}:{expert}" for layer, expert in experts[["layer", "expert_id"]].head(12).itertuples(index=False)]
    more = "" if len(experts) <= len(shown) else " …"
    st.caption(t("Experts: {names}").format(names=", ".join(shown) or t("none")) + more)
    _texts(ctx, found, weight_T)


def _texts(ctx: PageContext, found: Specialization, weight_T: np.ndarray) -> None:
    """Typical texts, as plain text."""
    t = ctx.t
    texts = specialization_data.texts(ctx, found.run_id, typical_requests(found.sample, weight_T, MOST_TEXTS))
    if len(texts):
        st.caption(t("Texts with the largest share of it"))
    for row in texts.itertuples():
        text = t("(erased)") if pd.isna(row.text) else str(row.text)
        short = text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
        st.text(short if pd.isna(row.domain) else f"{short} ({spoken(row.domain, t)})")


def _runs_of(found: Specialization, experts: pd.DataFrame) -> np.ndarray:
    """Per token of the sample: how many of these experts ran, over how many ran at all."""
    sample = found.sample
    cells = experts["layer"] * sample.n_experts + experts["expert_id"]
    inside = np.isin(sample.layer_S * sample.n_experts + sample.expert_S, cells)
    of_these = np.bincount(sample.token_S[inside], minlength=sample.n_tokens)
    weight: np.ndarray = of_these / np.maximum(np.bincount(sample.token_S, minlength=sample.n_tokens), 1)
    return weight
