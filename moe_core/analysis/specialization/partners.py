"""Which experts run together more often than chance: all pairs of a layer, with lift.

lift = n T / (n_a n_b). A model that runs exactly k of E experts cannot reach 1 on average: choosing one leaves fewer
places for the others. `chance` is what all pairs of the layer have together, sum of n over the sum of n_a n_b / T, so
that `over_chance` = 1 says nothing. The counts are of tokens, over all documents at once; the interval comes from the
documents of a sample.
"""

import numpy as np
import pandas as pd

from moe_core.analysis.interval import Z_95
from moe_core.analysis.specialization.sample import RoutingSample

LEAST_EXPECTED = 20.0
MOST_WITH_INTERVAL = 24
COLUMNS = (
    "layer", "first", "second", "n", "expected", "tokens", "lift", "chance", "over_chance", "low", "high", "documents",
)  # fmt: skip


def partner_lifts(pairs: pd.DataFrame, load: pd.DataFrame, tokens: pd.DataFrame) -> pd.DataFrame:
    """pairs (layer, first, second, n), load (layer, expert_id, n), tokens (layer, tokens) -> COLUMNS without interval,
    one row per pair of which LEAST_EXPECTED common tokens are expected or seen, the most surprising first."""
    runs = load.set_index(["layer", "expert_id"])["n"]
    rows = _all_pairs(load).merge(pairs, on=["layer", "first", "second"], how="left").merge(tokens, on="layer")
    rows["n"] = rows["n"].fillna(0).astype("int64")
    of_first = runs.reindex(pd.MultiIndex.from_frame(rows[["layer", "first"]])).to_numpy(np.float64)
    of_second = runs.reindex(pd.MultiIndex.from_frame(rows[["layer", "second"]])).to_numpy(np.float64)
    rows["expected"] = of_first * of_second / rows["tokens"].where(rows["tokens"] > 0)
    by_layer = rows.groupby("layer")
    chance = by_layer["n"].transform("sum") / by_layer["expected"].transform("sum")
    rows["lift"] = rows["n"] / rows["expected"]
    rows["chance"], rows["over_chance"] = chance, rows["lift"] / chance
    enough = (rows["expected"] * chance >= LEAST_EXPECTED) | (rows["n"] >= LEAST_EXPECTED)
    rows = rows[enough & (rows["expected"] < rows["tokens"])]
    rows = rows.assign(low=np.nan, high=np.nan, documents=0)
    order = np.log(rows["over_chance"].clip(lower=1e-9)).abs().sort_values(ascending=False, kind="stable").index
    return rows.loc[order, list(COLUMNS)].reset_index(drop=True)


def with_intervals(partners: pd.DataFrame, sample: RoutingSample) -> pd.DataFrame:
    """Fills `low`, `high` (of over_chance) and `documents` of the first MOST_WITH_INTERVAL rows: the log lift of the
    sample, linearised over its documents, gives the width."""
    partners = partners.copy()
    for layer, rows in partners.head(MOST_WITH_INTERVAL).groupby("layer"):
        runs = sample.runs_of_layer(int(str(layer))).tocsc()
        routed = sample.routed_TL[:, int(str(layer))].astype(np.float64)
        n = np.bincount(sample.document_T, routed, minlength=sample.n_documents)
        m = int((n > 0).sum())
        for index, row in rows.iterrows():
            first, second = runs[:, [int(row["first"])]], runs[:, [int(row["second"])]]
            counts = [
                np.bincount(sample.document_T[each.indices], minlength=sample.n_documents)
                for each in (first.multiply(second).tocsc(), first, second)
            ]
            if min(each.sum() for each in counts) == 0:
                continue
            both, a, b = (each / each.sum() for each in counts)
            spread = Z_95 * np.sqrt(m / max(m - 1, 1) * ((both - a - b + n / n.sum()) ** 2).sum())
            partners.loc[index, ["low", "high"]] = row["over_chance"] * np.exp([-spread, spread])
            partners.loc[index, "documents"] = m
    return partners


def _all_pairs(load: pd.DataFrame) -> pd.DataFrame:
    """Every pair of experts of a layer that ran at all."""
    parts = []
    for layer, part in load[load["n"] > 0].groupby("layer"):
        experts = np.sort(part["expert_id"].to_numpy())
        first, second = np.triu_indices(len(experts), 1)
        parts.append(pd.DataFrame({"layer": layer, "first": experts[first], "second": experts[second]}))
    empty = pd.DataFrame({"layer": [], "first": [], "second": []}, dtype="int64")
    return pd.concat(parts, ignore_index=True) if parts else empty
