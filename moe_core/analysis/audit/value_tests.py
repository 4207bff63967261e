"""Do group means of some numbers per document differ? The same permutations, contrasts and intervals as for shares."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from moe_core.analysis.audit.columns import value_columns
from moe_core.analysis.audit.contrasts import contrasts_of, reference_name
from moe_core.analysis.audit.counts import Floats, RoutingCounts
from moe_core.analysis.audit.intervals import intervals, sides
from moe_core.analysis.audit.multiplicity import permutation_p
from moe_core.analysis.audit.null import permuted_labels
from moe_core.analysis.audit.routing_frames import contrast_means
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.statistics import Statistics

COLUMNS = ("metric", "group", "reference", "n", "reference_n", "mean", "reference_mean", "difference", "ratio", "low",
           "high", "interval_method", "p_maxt")  # fmt: skip


def value_tests(values: Mapping[str, Floats], counts: RoutingCounts, settings: AuditSettings) -> pd.DataFrame:
    """`values`: name -> one number per document, NaN where it has none -> COLUMNS, one row per name and contrast.

    n: documents with a number; p_maxt: family-wise over all names and contrasts, NaN for what is the same in all
    documents. Names that `min_group` documents of some group do not have are left out.
    """
    enough = {name: value_D for name, value_D in values.items() if _in_all_groups(value_D, counts, settings)}
    if not enough:
        return pd.DataFrame(columns=list(COLUMNS))
    contrasts = contrasts_of(counts.size_G, counts.groups, settings.reference)
    columns = value_columns(list(enough.values()), counts)
    statistics = Statistics(columns, contrasts, len(counts.groups))
    t_KC = statistics.t(counts.group_D)
    null = statistics.summarise(permuted_labels(counts, settings), jsd=False)
    p_KC = permutation_p(np.abs(t_KC), null.max_t_B)
    mean_KC, against_KC = contrast_means(statistics, counts, contrasts)
    between = intervals(columns, counts, contrasts, mean_KC - against_KC, settings)
    rows = []
    for k, contrast in enumerate(contrasts):
        group_D, against_D = sides(counts, contrast)
        for c, (name, value_D) in enumerate(enough.items()):
            known_D, against = np.isfinite(value_D), against_KC[k, c]
            rows.append((
                name, counts.groups[contrast.group], reference_name(contrast, counts.groups),
                int((known_D & group_D).sum()), int((known_D & against_D).sum()), mean_KC[k, c], against,
                mean_KC[k, c] - against, mean_KC[k, c] / against if against else np.nan, between.low_KC[k, c],
                between.high_KC[k, c], between.method_K[k], p_KC[k, c],
            ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _in_all_groups(value_D: Floats, counts: RoutingCounts, settings: AuditSettings) -> bool:
    known_G = np.bincount(counts.group_D[np.isfinite(value_D)], minlength=len(counts.groups))
    return bool((known_G >= settings.min_group).all())
