"""Intervals of differences between group means, one per contrast and cell: documents are the sample, never tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from moe_core.analysis.audit.columns import Columns
from moe_core.analysis.audit.contrasts import Contrast
from moe_core.analysis.audit.counts import Floats, RoutingCounts
from moe_core.analysis.audit.settings import AuditSettings

WELCH, BOOTSTRAP = "welch_t", "document_bootstrap"
_RESAMPLES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Intervals:
    """Arrays of shape (contrasts, cells): standard error of the difference, and its interval of 1 - alpha."""

    error_KC: Floats
    low_KC: Floats
    high_KC: Floats
    method_K: tuple[str, ...]


def intervals(
    columns: Columns, counts: RoutingCounts, contrasts: Sequence[Contrast], difference_KC: Floats,
    settings: AuditSettings,
) -> Intervals:  # fmt: skip
    """Welch t around `difference_KC`, and for large enough contrasts without strata the percentiles of a document
    bootstrap. Within strata: a weighted mean of the strata's differences, its variance from what remains inside
    (group, stratum)."""
    parts = [_welch(columns, counts, contrast) for contrast in contrasts]
    error_KC = np.stack([error for error, _ in parts])
    half_KC = error_KC * np.stack([stats.t.ppf(1 - settings.alpha / 2, np.maximum(df, 1)) for _, df in parts])
    low_KC, high_KC = difference_KC - half_KC, difference_KC + half_KC
    methods = [WELCH] * len(contrasts)
    wanted = [k for k, contrast in enumerate(contrasts) if _is_large(counts, contrast, settings)]
    if wanted and counts.stratum_D is None and columns.has_DL is None:
        drawn_KRC = _bootstrap(columns, counts, [contrasts[k] for k in wanted], settings)
        for k, drawn_RC in zip(wanted, drawn_KRC, strict=True):
            low_KC[k], high_KC[k] = np.quantile(drawn_RC, [settings.alpha / 2, 1 - settings.alpha / 2], axis=0)
            methods[k] = BOOTSTRAP
    return Intervals(error_KC, low_KC, high_KC, tuple(methods))


def sides(counts: RoutingCounts, contrast: Contrast) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """-> (documents of the group, documents that it is compared with)."""
    group_D = counts.group_D == contrast.group
    return group_D, ~group_D if contrast.reference is None else counts.group_D == contrast.reference


def _is_large(counts: RoutingCounts, contrast: Contrast, settings: AuditSettings) -> bool:
    sizes = [int(side_D.sum()) for side_D in sides(counts, contrast)]
    return 2 * min(sizes) >= settings.bootstrap_from and sum(sizes) <= settings.bootstrap_to


def _welch(columns: Columns, counts: RoutingCounts, contrast: Contrast) -> tuple[Floats, Floats]:
    """-> (standard error, degrees of freedom) of each cell."""
    stratum_D = np.zeros(counts.n_documents, np.int64) if counts.stratum_D is None else counts.stratum_D
    group_D, against_D = sides(counts, contrast)
    side_D = np.where(group_D, 2, np.where(against_D, 1, 0))
    _, row_D = np.unique(stratum_D, return_inverse=True)
    cell_D = row_D * 3 + side_D
    n_QC, residual_DC = _residuals(columns, cell_D, 3 * (int(row_D.max()) + 1))
    n_SsC = n_QC.reshape(-1, 3, n_QC.shape[1])
    n1_SC, n0_SC = n_SsC[:, 2], n_SsC[:, 1]
    share_SC = n1_SC * n0_SC / np.maximum(n1_SC + n0_SC, 1)
    total_C = np.maximum(share_SC.sum(axis=0), 1e-12)
    variances, freedoms = [], []
    for side, n_SC in ((2, n1_SC), (1, n0_SC)):
        inside = side_D == side
        squares_C = (residual_DC[inside].astype(np.float64) ** 2).sum(axis=0)
        freedom_C = np.maximum(n_SC.sum(axis=0) - (n_SC > 0).sum(axis=0), 1)
        spread_C = (share_SC**2 / np.maximum(n_SC, 1)).sum(axis=0) / total_C**2
        variances.append(squares_C / freedom_C * spread_C)
        freedoms.append(freedom_C)
    total_variance_C = variances[0] + variances[1]
    quotient_C = variances[0] ** 2 / freedoms[0] + variances[1] ** 2 / freedoms[1]
    freedom_C = np.where(quotient_C > 0, total_variance_C**2 / np.maximum(quotient_C, 1e-300), freedoms[0])
    return np.sqrt(total_variance_C), freedom_C


def _residuals(columns: Columns, cell_D: NDArray[np.integer], n_cells: int) -> tuple[Floats, NDArray[np.float32]]:
    """Deviations of the values from the mean of their (stratum, side) `cell_D`, and how many documents each has."""
    weight_DC = (
        np.ones((len(cell_D), 1), np.float32) if columns.has_DL is None else columns.has_DL[:, columns.row_C]
    )
    residual_DC = columns.z_DC * columns.scale_C.astype(np.float32)
    n_QC = np.zeros((n_cells, residual_DC.shape[1]))
    for cell in np.unique(cell_D):
        rows = np.flatnonzero(cell_D == cell)
        n_C = np.broadcast_to(weight_DC[rows].sum(axis=0, dtype=np.float64), residual_DC.shape[1:])
        mean_C = residual_DC[rows].sum(axis=0, dtype=np.float64) / np.maximum(n_C, 1)
        residual_DC[rows] = (residual_DC[rows] - mean_C) * weight_DC[rows]
        n_QC[cell] = n_C
    return n_QC, residual_DC


def _bootstrap(
    columns: Columns, counts: RoutingCounts, contrasts: Sequence[Contrast], settings: AuditSettings
) -> list[Floats]:
    """Differences of means when the documents of every group are drawn again with replacement, (resamples, cells) per
    contrast."""
    rng = np.random.default_rng([settings.seed, 5])
    centred_DC = columns.z_DC * columns.scale_C.astype(np.float32)
    size_G = counts.size_G
    rows_G = [np.flatnonzero(counts.group_D == g) for g in range(len(size_G))]
    found: list[list[NDArray[np.float32]]] = [[] for _ in contrasts]
    for low in range(0, settings.resamples, _RESAMPLES_AT_ONCE):
        n = min(_RESAMPLES_AT_ONCE, settings.resamples - low)
        sums = [
            rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), n).astype(np.float32) @ centred_DC[rows]
            for rows in rows_G
        ]
        for drawn, contrast in zip(found, contrasts, strict=True):
            others = [contrast.reference] if contrast.reference is not None else [
                g for g in range(len(size_G)) if g != contrast.group
            ]  # fmt: skip
            against = sum(sums[g] for g in others) / sum(int(size_G[g]) for g in others)
            drawn.append(sums[contrast.group] / size_G[contrast.group] - against)
    return [np.concatenate(drawn) for drawn in found]
