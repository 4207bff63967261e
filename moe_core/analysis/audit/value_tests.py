"""Do group means of some numbers per document differ? The same permutations, contrasts and intervals as for shares."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.audit.columns import value_columns
from moe_core.analysis.audit.contrasts import contrasts_of, reference_name
from moe_core.analysis.audit.counts import Floats, RoutingCounts
from moe_core.analysis.audit.intervals import intervals, sides
from moe_core.analysis.audit.multiplicity import Joint, p_by_class, permutation_rank
from moe_core.analysis.audit.null import permuted_labels
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.statistics import Statistics

COLUMNS = ("metric", "group", "reference", "n", "reference_n", "mean", "reference_mean", "difference", "ratio", "low",
           "high", "interval_method", "p_maxt")  # fmt: skip


def value_tests(values: Mapping[str, Floats], counts: RoutingCounts, settings: AuditSettings) -> pd.DataFrame:
    """`values`: name -> one number per document, NaN where it has none -> COLUMNS, one row per name and contrast.

    n: documents with a number; p_maxt: family-wise over all names and contrasts (the smallest of the p of each size
    class, judged by how small chance makes it), NaN for what is the same in all documents. A name stands in the rows of
    those contrasts in which `least_group` documents on both sides have it.
    """
    contrasts = contrasts_of(counts.size_G, counts.groups, settings.reference)
    side_KD = [sides(counts, contrast) for contrast in contrasts]
    known_KC = np.array([
        [min(int((np.isfinite(value_D) & side_D).sum()) for side_D in both) >= settings.least_group
         for value_D in values.values()]
        for both in side_KD
    ]).reshape(len(contrasts), len(values))  # fmt: skip
    enough = {name: value_D for c, (name, value_D) in enumerate(values.items()) if known_KC[:, c].any()}
    if not enough:
        return pd.DataFrame(columns=list(COLUMNS))
    known_KC = known_KC[:, known_KC.any(axis=0)]
    columns = value_columns(list(enough.values()), counts)
    statistics = Statistics(columns, contrasts, len(counts.groups), known_KC)
    t_KC = statistics.t(counts.group_D)
    null = statistics.summarise(permuted_labels(counts, settings), jsd=False)
    p_KC = p_by_class(np.abs(t_KC), null.max_t_BQ, statistics.class_K)
    if null.max_t_BQ.shape[1] > 1:
        observed = statistics.summarise([counts.group_D[None].astype(np.int8)], jsd=False)
        pairs = zip(observed.max_t_BQ.T, null.max_t_BQ.T, strict=True)
        joint = Joint(np.min([permutation_rank(b, np.concatenate([a, b])) for a, b in pairs], axis=0))
        p_KC = np.where(np.isnan(p_KC), np.nan, joint.p(np.nan_to_num(p_KC, nan=1.0)))
    mean_KC, against_KC = (
        np.array([[_mean(value_D, both[side]) for value_D in enough.values()] for both in side_KD]) for side in (0, 1)
    )
    between = intervals(columns, counts, contrasts, mean_KC - against_KC, settings)
    rows = []
    for k, contrast in enumerate(contrasts):
        group_D, against_D = side_KD[k]
        for c, (name, value_D) in enumerate(enough.items()):
            if not known_KC[k, c]:
                continue
            known_D, against = np.isfinite(value_D), against_KC[k, c]
            rows.append((
                name, counts.groups[contrast.group], reference_name(contrast, counts.groups),
                int((known_D & group_D).sum()), int((known_D & against_D).sum()), mean_KC[k, c], against,
                mean_KC[k, c] - against, mean_KC[k, c] / against if against else np.nan, between.low_KC[k, c],
                between.high_KC[k, c], between.method_K[k], p_KC[k, c],
            ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mean(value_D: Floats, side_D: NDArray[np.bool_]) -> float:
    known = value_D[side_D & np.isfinite(value_D)]
    return float(known.mean()) if len(known) else float("nan")
