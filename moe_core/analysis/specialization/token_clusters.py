"""Tokens grouped by which experts ran for them, and what such a group has in common.

Clusters are told from up to MOST_POINTS tokens, spread evenly over the sample; every other token then goes to the
nearest centre. Shape letters: T tokens of the sample, P points, X experts of all layers, K dimensions.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from moe_core.analysis.specialization.features import TokenFeatures
from moe_core.analysis.specialization.sample import RoutingSample
from moe_core.analysis.specialization.stability import Clustering, Floats, cluster

MOST_POINTS = 800
DIMENSIONS = 12
LEAST_IN_CLUSTER = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenClusters:
    """`point_P`: the tokens on the map; `coordinates_PK`: principal components; `label_T`: cluster of every ordinary
    token of the sample, -1 for special ones."""

    point_P: NDArray[np.int64]
    coordinates_PK: Floats
    label_T: NDArray[np.int64]
    clustering: Clustering


def token_clusters(sample: RoutingSample, *, seed: int) -> TokenClusters | None:
    """None where the sample has fewer than 100 ordinary tokens."""
    ordinary = np.flatnonzero(~sample.is_special_T & sample.routed_TL.any(axis=1))
    if len(ordinary) < 100:
        return None
    chosen = ordinary[np.unique(np.linspace(0, len(ordinary) - 1, MOST_POINTS).astype(np.int64))]
    width = sample.n_layers * sample.n_experts
    runs_TX = csr_matrix(
        (np.ones(len(sample.token_S)), (sample.token_S, sample.layer_S * sample.n_experts + sample.expert_S)),
        shape=(sample.n_tokens, width),
    )
    points_PX = runs_TX[chosen].toarray()
    mean_X = points_PX.mean(axis=0)
    centred = points_PX - mean_X
    axes_XK = _main_axes(centred)
    if not axes_XK.shape[1]:
        return None
    points_PK = centred @ axes_XK
    document_P = sample.document_T[chosen]

    def redraw(of: Floats, rng: np.random.Generator) -> Floats:
        return of[_documents_again(document_P, rng)]

    found = cluster(points_PK, redraw, seed=seed)
    label_T = np.full(sample.n_tokens, -1, np.int64)
    centres = np.stack([points_PK[found.label == k].mean(axis=0) for k in range(found.n_clusters)])
    of_all = runs_TX[ordinary] @ axes_XK - mean_X @ axes_XK
    distance = (centres**2).sum(axis=1) - 2 * of_all @ centres.T
    label_T[ordinary] = distance.argmin(axis=1)
    label_T[chosen] = found.label
    return TokenClusters(point_P=chosen, coordinates_PK=points_PK, label_T=label_T, clustering=found)


def common_features(label_T: NDArray[np.int64], number: int, tokens: TokenFeatures) -> pd.DataFrame:
    """-> (kind, value, lift, n) features that the tokens of a cluster have more often than ordinary tokens, those that
    hold most of it first."""
    ordinary = label_T >= 0
    inside = label_T == number
    n_features = len(tokens.features)
    within = np.bincount(tokens.feature_P[inside[tokens.token_P]], minlength=n_features)
    in_all = np.bincount(tokens.feature_P[ordinary[tokens.token_P]], minlength=n_features)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = (within / max(int(inside.sum()), 1)) / (in_all / max(int(ordinary.sum()), 1))
    rows = pd.DataFrame({
        "kind": [kind for kind, _ in tokens.features], "value": [value for _, value in tokens.features],
        "lift": lift, "n": within, "excess": within - in_all * inside.sum() / max(int(ordinary.sum()), 1),
    })  # fmt: skip
    rows = rows[(rows["n"] >= LEAST_IN_CLUSTER) & (rows["lift"] >= 1.25)]
    return rows.sort_values("excess", ascending=False, ignore_index=True)[["kind", "value", "lift", "n"]]


def characteristic_experts(sample: RoutingSample, label_T: NDArray[np.int64], number: int) -> pd.DataFrame:
    """-> (layer, expert_id, lift, n) experts that run at least 1.25 times as often for the tokens of a cluster as for
    ordinary tokens, and for at least LEAST_IN_CLUSTER of them."""
    ordinary, inside = label_T >= 0, label_T == number
    width = sample.n_layers * sample.n_experts
    cell_S = sample.layer_S * sample.n_experts + sample.expert_S
    within = np.bincount(cell_S[inside[sample.token_S]], minlength=width)
    in_all = np.bincount(cell_S[ordinary[sample.token_S]], minlength=width)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = (within / max(int(inside.sum()), 1)) / (in_all / max(int(ordinary.sum()), 1))
    cells = np.flatnonzero((within >= LEAST_IN_CLUSTER) & (lift >= 1.25))
    cells = cells[np.argsort(-lift[cells], kind="stable")]
    return pd.DataFrame({
        "layer": cells // sample.n_experts, "expert_id": cells % sample.n_experts, "lift": lift[cells],
        "n": within[cells],
    })  # fmt: skip


def typical_requests(
    sample: RoutingSample, weight_T: NDArray[np.float64], most: int = 3, least_tokens: int = 8
) -> list[str]:
    """Ids of the requests whose tokens have the largest mean weight, highest first; short requests are left out."""
    size_D = np.bincount(sample.document_T, minlength=sample.n_documents)
    total_D = np.bincount(sample.document_T, weight_T, minlength=sample.n_documents)
    mean_D = np.where(size_D >= least_tokens, total_D / np.maximum(size_D, 1), -np.inf)
    order = np.argsort(-mean_D, kind="stable")[:most]
    return [sample.request_ids[i] for i in order if mean_D[i] > 0]


def _main_axes(centred: Floats) -> Floats:
    """The first DIMENSIONS principal axes, from the smaller of the two products of the matrix with itself."""
    wide = centred.shape[1] > centred.shape[0]
    values, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    keep = np.argsort(-values)[:DIMENSIONS]
    keep = keep[values[keep] > 1e-9]
    axes: Floats = centred.T @ (vectors[:, keep] / np.sqrt(values[keep])) if wide else vectors[:, keep]
    return axes


def _documents_again(document_P: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of documents drawn with replacement."""
    order = np.argsort(document_P, kind="stable")
    names, begins = np.unique(document_P[order], return_index=True)
    parts = np.split(order, begins[1:])
    drawn = rng.integers(0, len(names), len(names))
    return np.concatenate([parts[i] for i in drawn])
