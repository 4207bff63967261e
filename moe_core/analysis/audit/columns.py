"""What is tested: one column of document values per cell, centred and scaled so that 32-bit sums stay exact enough.

A share is x[d,l,e] = C[d,l,e] / sum over e of C[d,l,e]; an activation rate divides by the tokens of the layer instead.
The mean of a group is the plain mean over its documents, so that long documents do not dominate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_core.analysis.audit.counts import Floats, RoutingCounts


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """`value_DC`: the values, 0 where a document has none. `z_DC`: their deviations from the mean of all documents (of
    the stratum, if there are strata) in standard deviations `scale_C`, float32. `has_DL`: whether a document has values
    in a layer; None: all have. `row_C`: the layer's place in `layers` (sorted, so that the cells of a layer stand
    together); `expert_C`: -1 for a column that is no single expert. `tested_C`: enough documents use the cell.
    `factor_G`: turns the mean deviation of a group from its strata into the difference that comparing within strata
    estimates (1 without strata)."""

    value_DC: NDArray[np.float32]
    z_DC: NDArray[np.float32]
    mean_C: Floats
    scale_C: Floats
    has_DL: NDArray[np.float32] | None
    row_C: NDArray[np.int64]
    expert_C: NDArray[np.int64]
    layers: tuple[int, ...]
    tested_C: NDArray[np.bool_]
    factor_G: Floats

    @property
    def start_L(self) -> NDArray[np.int64]:
        """Where the cells of each layer begin."""
        return np.searchsorted(self.row_C, np.arange(len(self.layers)))


def share_columns(counts: RoutingCounts, min_documents: int) -> Columns:
    """Shares of every expert that anybody used, in layers where at least two were."""
    choices_DL = counts.counts_DLE.sum(axis=2, dtype=np.int64)
    used_LE = counts.counts_DLE.any(axis=0)
    used_LE &= used_LE.sum(axis=1, keepdims=True) > 1
    layer_C, expert_C = np.nonzero(used_LE)
    value_DC = counts.counts_DLE[:, layer_C, expert_C] / np.maximum(choices_DL, 1)[:, layer_C].astype(np.float32)
    return _columns(counts, value_DC.astype(np.float32), choices_DL > 0, layer_C, expert_C, min_documents)


def activation_columns(counts: RoutingCounts, min_documents: int) -> Columns:
    """Activation rates of every expert that anybody used, and per layer the mean number of experts of a token."""
    tokens_DL = np.maximum(counts.tokens_DL, 1).astype(np.float32)
    layer_C, expert_C = np.nonzero(counts.counts_DLE.any(axis=0))
    routed_L = np.unique(layer_C)
    rate_DC = counts.counts_DLE[:, layer_C, expert_C] / tokens_DL[:, layer_C]
    value_DC = np.concatenate([rate_DC, counts.active_DL[:, routed_L]], axis=1).astype(np.float32)
    layer_C = np.concatenate([layer_C, routed_L])
    expert_C = np.concatenate([expert_C, np.full(len(routed_L), -1)])
    order_C = np.argsort(layer_C, kind="stable")
    return _columns(
        counts, value_DC[:, order_C], counts.tokens_DL > 0, layer_C[order_C], expert_C[order_C], min_documents
    )


def value_columns(values_DC: Sequence[Floats], counts_like: RoutingCounts) -> Columns:
    """Any numbers per document, each a layer of its own; NaN: the document has none."""
    value_DC = np.stack(values_DC, axis=1)
    has_DC = np.isfinite(value_DC)
    column_C = np.arange(value_DC.shape[1])
    return _columns(
        counts_like, np.where(has_DC, value_DC, 0).astype(np.float32), has_DC, column_C, np.full(len(column_C), -1), 1
    )


def _columns(
    counts: RoutingCounts, value_DC: NDArray[np.float32], has_DL: NDArray[np.bool_], layer_C: NDArray[np.integer],
    expert_C: NDArray[np.integer], min_documents: int,
) -> Columns:  # fmt: skip
    layers, row_C = np.unique(layer_C, return_inverse=True)
    has_DL = has_DL[:, layers]
    complete = bool(has_DL.all())
    weight_DC = np.ones((len(value_DC), 1), np.float32) if complete else has_DL.astype(np.float32)[:, row_C]
    value_DC = value_DC if complete else value_DC * weight_DC
    n_C = weight_DC.sum(axis=0, dtype=np.float64)
    mean_C = value_DC.sum(axis=0, dtype=np.float64) / np.maximum(n_C, 1)
    z_DC = _centred(value_DC, weight_DC, mean_C, counts.stratum_D)
    scale_C = np.sqrt((z_DC.astype(np.float64) ** 2).sum(axis=0) / np.maximum(n_C - 1, 1))
    z_DC /= np.maximum(scale_C, 1e-30).astype(np.float32)
    return Columns(
        value_DC=value_DC, z_DC=z_DC, mean_C=mean_C, scale_C=scale_C,
        has_DL=None if complete else has_DL.astype(np.float32), row_C=row_C.astype(np.int64),
        expert_C=expert_C.astype(np.int64), layers=tuple(int(layer) for layer in layers),
        tested_C=((value_DC != 0).sum(axis=0) >= min_documents) & (scale_C > 1e-6 * np.maximum(np.abs(mean_C), 1e-6)),
        factor_G=strata_factors(counts.group_D, counts.stratum_D, len(counts.groups)),
    )  # fmt: skip


def _centred(
    value_DC: NDArray[np.float32], weight_DC: NDArray[np.float32], mean_C: Floats, stratum_D: NDArray[np.integer] | None
) -> NDArray[np.float32]:
    z_DC = (value_DC - mean_C.astype(np.float32)) * weight_DC
    if stratum_D is not None:
        for stratum in np.unique(stratum_D):
            rows = np.flatnonzero(stratum_D == stratum)
            n_C = np.maximum(weight_DC[rows].sum(axis=0, dtype=np.float64), 1)
            mean_of_C = (z_DC[rows].sum(axis=0, dtype=np.float64) / n_C).astype(np.float32)
            z_DC[rows] = (z_DC[rows] - mean_of_C) * weight_DC[rows]
    return z_DC


def strata_factors(group_D: NDArray[np.integer], stratum_D: NDArray[np.integer] | None, n_groups: int) -> Floats:
    """1 / (share of the difference that survives centring): in a stratum with n1 documents of a group and n0 others,
    centring leaves n1 n0 / (n1 + n0) of it."""
    if stratum_D is None:
        return np.ones(n_groups)
    _, row_D = np.unique(stratum_D, return_inverse=True)
    inside_SG = np.zeros((int(row_D.max()) + 1, n_groups))
    np.add.at(inside_SG, (row_D, group_D), 1)
    n_S1 = inside_SG.sum(axis=1, keepdims=True)
    kept_G = (inside_SG * (n_S1 - inside_SG) / n_S1).sum(axis=0)
    n_G, n = inside_SG.sum(axis=0), float(n_S1.sum())
    whole_G = n_G * (n - n_G) / n
    return np.where(kept_G > 0, whole_G / np.maximum(kept_G, 1e-12), 1.0)
