"""Does sparse routing hurt the unusual? Agreement with the dense original by how common the words of a text are, and by
how sure the dense original was. Over-sparsity shows here first, long before an average moves.

Pairs: the same text answered by the same model and head in both modes. Loss: share of the pairs with different labels.
How common: median over the tokens of log10 of how often each occurs in the audited runs, the declared reference. How
hard: score of the dense answer, which the treatment cannot affect.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.interval import wilson

BUCKETS = 5
FEWEST_PAIRS = 50
FREQUENCY, DIFFICULTY = "frequency", "difficulty"


@dataclass(frozen=True, kw_only=True, slots=True)
class RareCases:
    """`buckets`: (by, bucket, from_value, to_value, n, lost, loss, low, high), bucket 0 the rarest or hardest, Wilson
    intervals. `worst`: row of `buckets` by frequency with the highest loss; `worst_p`: how often chance makes a worst
    bucket as bad. `rare_minus_common`: loss of the rarest minus the most common bucket at equal difficulty, with its
    interval by bootstrap; None where no difficulty has both."""

    n: int
    lost: int
    buckets: pd.DataFrame
    worst: int
    worst_p: float
    rare_minus_common: tuple[float, float, float] | None


def audit_rare_cases(pairs: pd.DataFrame, rarity: pd.DataFrame, settings: AuditSettings) -> RareCases | None:
    """`pairs`: (run_id, request_id, label, dense_label, dense_score); `rarity`: (run_id, request_id, median_log_count).
    None where fewer than FEWEST_PAIRS texts have both answers and known tokens."""
    both = pairs.merge(rarity[["run_id", "request_id", "median_log_count"]], on=["run_id", "request_id"])
    if len(both) < FEWEST_PAIRS:
        return None
    lost_N = (both["label"] != both["dense_label"]).to_numpy()
    common_N = both["median_log_count"].to_numpy(np.float64)
    score_N = both["dense_score"].to_numpy(np.float64)
    by_frequency = _bucketed(FREQUENCY, common_N, lost_N)
    by_difficulty = _bucketed(DIFFICULTY, score_N, lost_N) if np.isfinite(score_N).all() else by_frequency.head(0)
    bucket_N = _bucket(common_N)
    rng = np.random.default_rng([settings.seed, 8])
    observed = by_frequency["loss"].max()
    n_Q = np.bincount(bucket_N)
    beaten = sum(
        (np.bincount(bucket_N, rng.permutation(lost_N), len(n_Q)) / np.maximum(n_Q, 1)).max() >= observed - 1e-12
        for _ in range(settings.permutations)
    )
    return RareCases(
        n=len(both), lost=int(lost_N.sum()),
        buckets=pd.concat([by_frequency, by_difficulty], ignore_index=True), worst=int(by_frequency["loss"].idxmax()),
        worst_p=(1 + int(beaten)) / (settings.permutations + 1),
        rare_minus_common=_at_equal_difficulty(bucket_N, score_N, lost_N, rng, settings.resamples),
    )  # fmt: skip


def _bucket(value_N: NDArray[np.float64]) -> NDArray[np.int64]:
    """Quintiles; equal values stay together, so that there may be fewer."""
    edges = np.unique(np.quantile(value_N, np.arange(1, BUCKETS) / BUCKETS))
    return np.unique(np.searchsorted(edges, value_N, side="left"), return_inverse=True)[1]


def _bucketed(by: str, value_N: NDArray[np.float64], lost_N: NDArray[np.bool_]) -> pd.DataFrame:
    bucket_N = _bucket(value_N)
    rows = []
    for bucket in range(int(bucket_N.max()) + 1):
        inside = bucket_N == bucket
        n, lost = int(inside.sum()), int(lost_N[inside].sum())
        rows.append((by, bucket, value_N[inside].min(), value_N[inside].max(), n, lost, lost / n, *wilson(lost, n)))
    return pd.DataFrame(
        rows, columns=["by", "bucket", "from_value", "to_value", "n", "lost", "loss", "low", "high"]
    )


def _at_equal_difficulty(
    bucket_N: NDArray[np.int64], score_N: NDArray[np.float64], lost_N: NDArray[np.bool_], rng: np.random.Generator,
    resamples: int,
) -> tuple[float, float, float] | None:  # fmt: skip
    """Mean over the quintiles of dense scores that have both, weighted by their texts."""
    if not np.isfinite(score_N).all() or bucket_N.max() == 0:
        return None
    side_N = np.where(bucket_N == 0, 0, np.where(bucket_N == bucket_N.max(), 1, 2))
    cell_N = _bucket(score_N) * 3 + side_N
    n_cells = 3 * BUCKETS

    def difference(rows: NDArray[np.int64]) -> float:
        n_Qs = np.bincount(cell_N[rows], minlength=n_cells).reshape(-1, 3)[:, :2]
        lost_Qs = np.bincount(cell_N[rows], lost_N[rows], n_cells).reshape(-1, 3)[:, :2]
        usable = (n_Qs > 0).all(axis=1)
        if not usable.any():
            return float("nan")
        loss_Qs = lost_Qs[usable] / n_Qs[usable]
        return float(np.average(loss_Qs[:, 0] - loss_Qs[:, 1], weights=n_Qs[usable].sum(axis=1)))

    every = np.arange(len(lost_N))
    point = difference(every)
    if not np.isfinite(point):
        return None
    drawn = [difference(rng.integers(0, len(every), len(every))) for _ in range(resamples)]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return point, float(low), float(high)
