"""Which run and which cluster the page shows. Both are in the link; a click on the map chooses a cluster too."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from moe_core.analysis.specialization.document import words_of
from moe_core.analysis.specialization.names import feature_name
from moe_core.analysis.specialization.report import Specialization
from moe_core.analysis.specialization.token_clusters import characteristic_experts, common_features
from moe_core.dashboard import filters
from moe_core.dashboard import specialization_data as source
from moe_core.dashboard.context import PageContext
from moe_core.dashboard.numbers import run_label
from moe_core.dashboard.specialization_data import Clusters

RUN_KEY, CLUSTER_KEY, MAP_KEY = "specialization_run", "specialization_cluster", "specialization_map"
ALL = ""
EXPERT, TOKEN = "expert", "token"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A cluster, or everything (`kind` is ALL). `experts` (layer, expert_id): those that the charts show; None: all."""

    kind: str
    number: int
    label: str
    experts: pd.DataFrame | None

    @property
    def key(self) -> tuple[str, int] | None:
        """What `specialization_data.agreement` takes."""
        return None if self.kind == ALL else (self.kind, self.number)

    def keep(self, frame: pd.DataFrame, columns: tuple[str, ...] = ("expert_id",)) -> pd.DataFrame:
        """The rows whose experts (in `columns`, of `layer`) are all among those chosen."""
        if self.experts is None:
            return frame
        allowed = set(zip(self.experts["layer"], self.experts["expert_id"], strict=True))
        kept = [
            all((layer, expert) in allowed for expert in experts)
            for layer, *experts in frame[["layer", *columns]].itertuples(index=False)
        ]
        return frame[pd.Series(kept, index=frame.index, dtype=bool)]


def choose_run(ctx: PageContext) -> str:
    """A select box over the runs with decisions."""
    runs = source.routed_runs(ctx).set_index("run_id")
    labels = {str(run_id): run_label(run, ctx.t) for run_id, run in runs.iterrows()}
    return filters.choice(ctx.t("Run"), list(labels), labels, key=RUN_KEY, parameter="run")


def is_cluster_wanted() -> bool:
    """Whether the link or the visitor asks for a cluster. If not, the page can be drawn before clusters are found."""
    return bool(st.session_state.get(CLUSTER_KEY, st.query_params.get("cluster", ALL)))


def everything(ctx: PageContext) -> Chosen:
    """No cluster: all experts and tokens."""
    return Chosen(kind=ALL, number=0, label=ctx.t("All experts"), experts=None)


def choose_cluster(ctx: PageContext, found: Specialization, clusters: Clusters) -> Chosen:
    """A select box over everything and the stable clusters of experts and of tokens."""
    labels = {ALL: ctx.t("All experts")} | cluster_names(ctx, found, clusters)
    value = filters.choice(ctx.t("Cluster"), list(labels), labels, key=CLUSTER_KEY, parameter="cluster")
    kind, _, number = value.partition("-")
    if not number:
        return everything(ctx)
    if kind == EXPERT and clusters.experts is not None:
        experts = clusters.experts.experts
        experts = experts[experts["cluster"] == int(number)]
    else:
        assert clusters.tokens is not None
        experts = characteristic_experts(found.sample, clusters.tokens.label_T, int(number))
    return Chosen(kind=kind, number=int(number), label=labels[value], experts=experts[["layer", "expert_id"]])


def cluster_names(ctx: PageContext, found: Specialization, clusters: Clusters) -> dict[str, str]:
    """option -> what the cluster is called, of all stable ones: a letter or number, and what is most typical of it."""
    t, words, names = ctx.t, words_of(found), {}
    if clusters.experts is not None and clusters.experts.clustering.stable:
        for number in range(clusters.experts.clustering.n_clusters):
            typical = clusters.experts.most_for(number)
            what = feature_name(*typical[0], words).text(t) if typical else t("no clear profile")
            lift = f" {typical[1]:.1f}×" if typical else ""
            names[f"{EXPERT}-{number}"] = (
                t("Experts {letter}: {what}").format(letter=chr(65 + number), what=what) + lift
            )
    if clusters.tokens is not None and clusters.tokens.clustering.stable:
        for number in range(clusters.tokens.clustering.n_clusters):
            rows = common_features(clusters.tokens.label_T, number, found.tokens).head(1)
            what = t("no clear profile")
            lift = ""
            for row in rows.itertuples():
                what, lift = feature_name(row.kind, row.value, words).text(t), f" {row.lift:.1f}×"
            names[f"{TOKEN}-{number}"] = t("Tokens {number}: {what}").format(number=number + 1, what=what) + lift
    return names


def on_map_click(kind: str) -> None:
    """Chooses the cluster of the point that was clicked; the same again chooses all."""
    points = st.session_state[MAP_KEY].get("selection", {}).get("points", [])
    if points and points[0].get("customdata"):
        wanted = f"{kind}-{int(points[0]['customdata'][0])}"
        st.session_state[CLUSTER_KEY] = ALL if st.session_state.get(CLUSTER_KEY) == wanted else wanted
