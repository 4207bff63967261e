"""How many clusters there are: as many as come out the same again when the data are drawn again.

k-means is fitted on resampled data and labels the same points each time; the adjusted Rand index compares the
labellings pair by pair (Ben-Hur et al. 2002). One elongated cloud can be cut in two the same way every time: so the
same is done with points drawn from one normal distribution of the same covariance, and only what is clearly more stable
than that is a cluster.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

LEAST_STABILITY = 0.7
LEAST_OVER_NULL = 0.1
MOST_CLUSTERS = 8
DRAWS = 5
FITS = 2

Floats = NDArray[np.float64]
Redraw = Callable[[Floats, np.random.Generator], Floats]  # points -> the same measured again, or a resample of them


@dataclass(frozen=True, kw_only=True, slots=True)
class Clustering:
    """`label`: of each point, 0 to n_clusters - 1, the largest cluster first; all 0 where no number is stable (then
    n_clusters is 1). `curve`: (n_clusters, stability, low, high, null) one row per number tried."""

    label: NDArray[np.int64]
    n_clusters: int
    curve: pd.DataFrame

    @property
    def stable(self) -> bool:
        return self.n_clusters > 1


def cluster(points: Floats, redraw: Redraw, *, seed: int, most: int = MOST_CLUSTERS) -> Clustering:
    """`points`: one row per thing. `redraw` says how these points would differ in another sample; it is applied to the
    points and to those of the null alike."""
    none = Clustering(
        label=np.zeros(len(points), np.int64), n_clusters=1,
        curve=pd.DataFrame({name: [] for name in ("n_clusters", "stability", "low", "high", "null")}),
    )  # fmt: skip
    numbers = range(2, min(most, len(points) // 4) + 1)
    if not len(numbers) or np.ptp(points, axis=0).max(initial=0) == 0:
        return none
    rng = np.random.default_rng(seed)
    observed = _stabilities(points, [redraw(points, rng) for _ in range(DRAWS)], numbers, rng)
    blob = _same_covariance(points, rng)
    null = _stabilities(blob, [redraw(blob, rng) for _ in range(DRAWS)], numbers, rng)
    curve = pd.DataFrame({
        "n_clusters": list(numbers), "stability": [float(np.mean(each)) for each in observed],
        "low": [float(np.min(each)) for each in observed], "high": [float(np.max(each)) for each in observed],
        "null": [float(np.mean(each)) for each in null],
    })  # fmt: skip
    good = curve[(curve["stability"] >= LEAST_STABILITY) & (curve["stability"] >= curve["null"] + LEAST_OVER_NULL)]
    if good.empty:
        return Clustering(label=none.label, n_clusters=1, curve=curve)
    best = int(good[good["stability"] >= good["stability"].max() - 0.02]["n_clusters"].max())
    label = _fit(points, best, seed, n_init=5).predict(points)
    order = np.argsort(-np.bincount(label, minlength=best), kind="stable")
    return Clustering(label=np.argsort(order)[label].astype(np.int64), n_clusters=best, curve=curve)


def _stabilities(
    points: Floats, drawn: Sequence[Floats], numbers: Sequence[int], rng: np.random.Generator
) -> list[list[float]]:
    """Adjusted Rand indices of all pairs of draws, for each number of clusters."""
    from sklearn.metrics import adjusted_rand_score

    seeds = [int(seed) for seed in rng.integers(0, 2**31 - 1, len(drawn))]
    found = []
    for n_clusters in numbers:
        labels = [
            _fit(each, n_clusters, seed, n_init=FITS).predict(points) for each, seed in zip(drawn, seeds, strict=True)
        ]
        found.append(
            [adjusted_rand_score(labels[i], labels[j]) for i in range(len(labels)) for j in range(i)]
        )  # fmt: skip
    return found


def _fit(points: Floats, n_clusters: int, seed: int, *, n_init: int) -> "KMeans":
    from sklearn import config_context
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        return KMeans(n_clusters=n_clusters, n_init=n_init, random_state=seed % (2**31), max_iter=100).fit(points)


def _same_covariance(points: Floats, rng: np.random.Generator) -> Floats:
    """Points of one normal distribution with the mean and covariance of these."""
    centred = points - points.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    drawn = rng.standard_normal((len(points), len(sizes))) * sizes / np.sqrt(max(len(points) - 1, 1))
    blob: Floats = drawn @ axes + points.mean(axis=0)
    return blob
