"""The results of a routing audit as frames: one row per layer, per cell and contrast, per activation rate."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from moe_core.analysis.audit.contrasts import Contrast, reference_name
from moe_core.analysis.audit.counts import Floats, RoutingCounts
from moe_core.analysis.audit.effect_size import clustering
from moe_core.analysis.audit.intervals import intervals, sides
from moe_core.analysis.audit.multiplicity import p_by_class, permutation_p
from moe_core.analysis.audit.null import Null
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.statistics import Statistics, Summary

LAYER_COLUMNS = (
    "layer", "jsd", "jsd_debiased", "p", "p_max", "p_joint", "flagged", "contributor", "documents", "choices", "deff",
    "icc", "n_eff", "cramers_v", "cramers_v_plain", "rao_scott_p",
)  # fmt: skip
CELL_COLUMNS = (
    "layer", "expert_id", "group", "reference", "share", "reference_share", "difference", "ratio", "low", "high",
    "interval_method", "t", "p_maxt", "p_joint", "q_bh", "large", "flagged", "screened", "minimum_detectable",
    "pooled_share", "pooled_reference_share", "activation", "reference_activation",
)  # fmt: skip
ACTIVATION_COLUMNS = (
    "layer", "expert_id", "group", "reference", "activation", "reference_activation", "difference", "ratio", "low",
    "high", "interval_method", "t", "p_maxt", "p_joint", "large", "flagged",
)  # fmt: skip
MEAN_ACTIVE = -1  # in the column expert_id: the mean number of experts that a token ran in the layer


def layer_frame(null: Null, cells: pd.DataFrame, settings: AuditSettings) -> pd.DataFrame:
    """-> LAYER_COLUMNS. jsd in bits; p of the layer alone, p_max over all layers, p_joint over all families; flagged:
    p_joint within alpha and a cell of the layer beyond the effect gates; contributor: the tested expert with the
    largest abs(t), -1 if there is none."""
    observed, _ = null.families.observe()
    jsd_L, null_BL = observed.jsd_BL[0], null.share.jsd_BL
    p_max_L = permutation_p((jsd_L - null.mean_L) / null.sd_L, null.largest_jsd(null.share))
    p_joint_L = null.joint.p(p_max_L)
    rows = []
    for row, layer in enumerate(null.families.shares.columns.layers):
        tested = cells[(cells["layer"] == layer) & cells["t"].notna()]
        inside = clustering(null.families.counts, layer, settings.bootstrap_from)
        rows.append({
            "layer": layer, "jsd": jsd_L[row], "jsd_debiased": jsd_L[row] - null_BL[:, row].mean(),
            "p": permutation_p(jsd_L[row : row + 1], null_BL[:, row])[0], "p_max": p_max_L[row],
            "p_joint": p_joint_L[row], "flagged": bool(p_joint_L[row] <= settings.alpha and tested["large"].any()),
            "contributor": int(tested["expert_id"][tested["t"].abs().idxmax()]) if len(tested) else -1,
            "documents": inside.documents, "choices": inside.choices, "deff": inside.deff, "icc": inside.icc,
            "n_eff": inside.n_eff, "cramers_v": inside.cramers_v, "cramers_v_plain": inside.cramers_v_plain,
            "rao_scott_p": np.nan if inside.rao_scott_p is None else inside.rao_scott_p,
        })  # fmt: skip
    return pd.DataFrame(rows, columns=list(LAYER_COLUMNS))


def cell_frame(null: Null, t_KC: Floats, q_KC: Floats, critical: float, settings: AuditSettings) -> pd.DataFrame:
    """-> CELL_COLUMNS, contrast by contrast. Shares are means over documents, pooled_share counts tokens; the interval
    (low, high) is of `difference`; flagged: p_joint within alpha and large; screened: q_bh within alpha and large;
    minimum_detectable: difference that would be found with the power of the settings."""
    counts, columns, contrasts = null.families.counts, null.families.shares.columns, null.families.contrasts
    frame = _differences(null.families.shares, null, t_KC, null.share, ("share", "reference_share"), settings)
    sorted_BQ = np.sort(null.share.max_t_BQ, axis=0)[::-1]
    critical_Q = sorted_BQ[max(round(critical * (len(sorted_BQ) + 1)), 1) - 1]
    critical_KC = np.repeat(critical_Q[null.families.shares.class_K], t_KC.shape[1])
    frame["minimum_detectable"] = (critical_KC + stats.norm.ppf(settings.power)) * frame["error"].where(
        frame["t"].notna()
    )
    frame["q_bh"] = q_KC.ravel()
    frame["screened"] = frame["large"] & (frame["q_bh"] <= settings.alpha)
    layer_C = np.array(columns.layers)[columns.row_C]
    rate_DC = counts.counts_DLE[:, layer_C, columns.expert_C] / np.maximum(counts.tokens_DL, 1)[:, layer_C]
    for name, side in (("", 0), ("reference_", 1)):
        rows_K = [sides(counts, contrast)[side] for contrast in contrasts]
        frame[f"{name}activation"] = np.concatenate([rate_DC[rows_D].mean(axis=0) for rows_D in rows_K])
        pooled_K = [_pooled(counts, rows_D)[layer_C, columns.expert_C] for rows_D in rows_K]
        frame[f"pooled_{name}share"] = np.concatenate(pooled_K)
    return frame[list(CELL_COLUMNS)]


def activation_frame(null: Null, settings: AuditSettings) -> pd.DataFrame | None:
    """-> ACTIVATION_COLUMNS, contrast by contrast, or None where every token runs as many experts. activation: share of
    the tokens that ran the expert; for expert_id MEAN_ACTIVE the mean number of experts, which is large beyond the
    relative difference `compute_difference`."""
    statistics, summary = null.families.activations, null.activation
    if statistics is None or summary is None:
        return None
    t_KC = statistics.t(null.families.counts.group_D)
    names = ("activation", "reference_activation")
    return _differences(statistics, null, t_KC, summary, names, settings)[list(ACTIVATION_COLUMNS)]


def _differences(
    statistics: Statistics, null: Null, t_KC: Floats, summary: Summary, names: tuple[str, str], settings: AuditSettings
) -> pd.DataFrame:
    """What shares and activation rates have in common."""
    counts, columns, contrasts = null.families.counts, statistics.columns, null.families.contrasts
    mean_KC, against_KC = contrast_means(statistics, counts, contrasts)
    between = intervals(columns, counts, contrasts, mean_KC - against_KC, settings)
    p_KC = p_by_class(np.abs(t_KC), summary.max_t_BQ, statistics.class_K)
    joint_KC = np.where(np.isnan(p_KC), np.nan, null.joint.p(np.nan_to_num(p_KC, nan=1.0)))
    gate = settings.compute_difference
    ratio_KC = mean_KC / np.where(against_KC > 0, against_KC, np.nan)
    outside_KC = ~((ratio_KC >= settings.ratio_low) & (ratio_KC <= settings.ratio_high))
    large_KC = (np.abs(mean_KC - against_KC) >= settings.min_difference) | outside_KC
    large_KC = np.where(columns.expert_C == MEAN_ACTIVE, ~(np.abs(ratio_KC - 1) <= gate), large_KC)
    large_KC &= ~np.isnan(t_KC)
    n_cells = t_KC.shape[1]
    return pd.DataFrame({
        "layer": np.tile(np.array(columns.layers)[columns.row_C], len(contrasts)),
        "expert_id": np.tile(columns.expert_C, len(contrasts)),
        "group": np.repeat([counts.groups[c.group] for c in contrasts], n_cells),
        "reference": np.repeat([reference_name(c, counts.groups) for c in contrasts], n_cells),
        names[0]: mean_KC.ravel(), names[1]: against_KC.ravel(), "difference": (mean_KC - against_KC).ravel(),
        "ratio": ratio_KC.ravel(), "low": between.low_KC.ravel(), "high": between.high_KC.ravel(),
        "error": between.error_KC.ravel(), "interval_method": np.repeat(list(between.method_K), n_cells),
        "t": t_KC.ravel(), "p_maxt": p_KC.ravel(), "p_joint": joint_KC.ravel(), "large": large_KC.ravel(),
        "flagged": (large_KC & (joint_KC <= settings.alpha)).ravel(),
    })  # fmt: skip


def contrast_means(
    statistics: Statistics, counts: RoutingCounts, contrasts: tuple[Contrast, ...]
) -> tuple[Floats, Floats]:
    """-> (mean of the group, mean of what it is compared with), both (contrasts, cells). Within strata, the means of
    documents of the average stratum, so that their difference is that within strata."""
    deviation_GC, n_GC = statistics.deviation(counts.group_D)
    total_C, n_C = (deviation_GC * n_GC / statistics.columns.factor_G[:, None]).sum(axis=0), n_GC.sum(axis=0)
    mean_KC, against_KC = [], []
    for contrast in contrasts:
        of_group_C = deviation_GC[contrast.group]
        if contrast.reference is None:
            factor = statistics.columns.factor_G[contrast.group]
            n_others_C = np.maximum(n_C - n_GC[contrast.group], 1)
            others_C = (total_C * factor - of_group_C * n_GC[contrast.group]) / n_others_C
        else:
            others_C = deviation_GC[contrast.reference]
        mean_KC.append(statistics.columns.mean_C + of_group_C)
        against_KC.append(statistics.columns.mean_C + others_C)
    return np.stack(mean_KC), np.stack(against_KC)


def _pooled(counts: RoutingCounts, rows_D: NDArray[np.bool_]) -> Floats:
    """Shares (layers, experts) of all tokens of these documents together."""
    total_LE = counts.counts_DLE[rows_D].sum(axis=0, dtype=np.int64)
    shares: Floats = total_LE / np.maximum(total_LE.sum(axis=1, keepdims=True), 1)
    return shares
