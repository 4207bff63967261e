"""Experts grouped by what they run for: log lifts over word classes and domains, and a map of them.

Shape letters: X experts of all layers (L x E), F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.specialization.calling import Calls, Feature
from moe_core.analysis.specialization.lifts import t_quantile
from moe_core.analysis.specialization.stability import Clustering, Floats, cluster

PROFILE_KINDS = ("domain", "class", "piece")
LARGEST = 3.0  # log2: a lift of 8, or an eighth
MOST_EXPERTS = 500  # of more, those that run most are clustered


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpertClusters:
    """`experts` (layer, expert_id, cluster) one row per expert with a profile; profile_XF: log2 lifts in that order,
    0 where not tested."""

    experts: pd.DataFrame
    features: tuple[Feature, ...]
    profile_XF: Floats
    clustering: Clustering

    def typical(self, number: int, most: int = 4) -> list[tuple[Feature, float]]:
        """The features in which a cluster stands out most, with the geometric mean of its experts' lifts."""
        inside = self.experts["cluster"].to_numpy() == number
        mean_F = self.profile_XF[inside].mean(axis=0)
        order = np.argsort(-np.abs(mean_F))[:most]
        return [(self.features[i], float(2 ** mean_F[i])) for i in order if abs(mean_F[i]) >= 0.1]

    def most_for(self, number: int) -> tuple[Feature, float] | None:
        """What to call a cluster by: the feature for which its experts run most often, if 1.25 times as often; else
        that in which it stands out most."""
        typical = self.typical(number, len(self.features))
        return max((each for each in typical if each[1] >= 1.25), key=lambda each: each[1], default=None) or (
            typical[0] if typical else None
        )


def expert_clusters(calls: Sequence[Calls], *, seed: int) -> ExpertClusters | None:
    """None where no expert has a tested profile."""
    parts = [_profile(each) for each in calls]
    parts = [part for part in parts if part[1].shape[0]]
    if not parts:
        return None
    features = tuple(feature for names, _, _, _ in parts for feature in names)
    profile_XF, error_XF = (np.concatenate([part[i] for part in parts]).reshape(len(features), -1).T for i in (1, 2))
    runs_X = np.max([part[3].ravel() for part in parts], axis=0)
    n_experts = parts[0][1].shape[2]
    known = np.flatnonzero((error_XF > 0).any(axis=1))
    known = np.sort(known[np.argsort(-runs_X[known], kind="stable")][:MOST_EXPERTS])
    if not len(known):
        return None
    points, error = profile_XF[known], error_XF[known]

    def redraw(of: Floats, rng: np.random.Generator) -> Floats:
        return np.clip(of + error * rng.standard_normal(of.shape), -LARGEST, LARGEST)

    found = cluster(points, redraw, seed=seed)
    experts = pd.DataFrame({"layer": known // n_experts, "expert_id": known % n_experts, "cluster": found.label})
    return ExpertClusters(experts=experts, features=features, profile_XF=points, clustering=found)


def _profile(calls: Calls) -> tuple[tuple[Feature, ...], Floats, Floats, NDArray[np.float64]]:
    """-> features, log2 lifts FLE, their standard errors FLE (0 where not tested), runs LE."""
    rows = [i for i, (kind, _) in enumerate(calls.features) if kind in PROFILE_KINDS]
    both = calls.both
    with np.errstate(divide="ignore", invalid="ignore"):
        log_lift = np.clip(np.log2(both.lift[rows]), -LARGEST, LARGEST)
        quantile = t_quantile(np.maximum(np.nan_to_num(both.effective[rows], nan=0.0) - 1, 1.0))
        error = (np.log2(both.high[rows]) - np.log2(both.low[rows])) / (2 * quantile)
    known = both.tested[rows] & np.isfinite(log_lift) & np.isfinite(error)
    names = tuple(calls.features[i] for i in rows)
    return names, np.where(known, log_lift, 0.0), np.where(known, error, 0.0), calls.sums.total_c_LE
