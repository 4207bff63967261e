"""Points of many dimensions on a map of two."""

from typing import Literal

import numpy as np

from moe_core.analysis.specialization.stability import Floats

Method = Literal["pca", "tsne"]
MOST_NEIGHBOURS = 30.0


def project(points: Floats, method: Method, *, seed: int) -> Floats:
    """-> one row of two coordinates per point. pca: the two directions of largest spread, exact and the same every
    time. tsne: neighbours stay neighbours, distances between groups mean nothing (van der Maaten and Hinton 2008)."""
    centred = points - points.mean(axis=0)
    if method == "tsne" and len(points) >= 8:
        from sklearn.manifold import TSNE

        perplexity = min(MOST_NEIGHBOURS, (len(points) - 1) / 3)
        flat: Floats = TSNE(
            n_components=2, perplexity=perplexity, init="pca" if points.shape[1] >= 2 else "random",
            random_state=seed, max_iter=500,
        ).fit_transform(centred.astype(np.float32)).astype(np.float64)  # fmt: skip
        return flat
    directions, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    flat = (directions * sizes)[:, :2]
    return np.pad(flat, ((0, 0), (0, max(0, 2 - flat.shape[1]))))
