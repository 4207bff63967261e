"""Logs made by the book: the generator behind the measured tables of the audit (`docs/audit-method.md`).

4 layers of 8 experts; every document draws its own probabilities around common ones (ICC = 1 / (1 + a0)), then two
choices per token. A plant adds to the log-odds of one cell in group 1.
"""

import numpy as np

from moe_core.analysis.audit.counts import RoutingCounts

_BASE = np.exp(np.random.default_rng(7).normal(0, 0.5, (4, 8)))
BASE_LE = _BASE / _BASE.sum(axis=1, keepdims=True)
PLANTED = (0, 0)
CONCENTRATION = {0.0: 1e6, 0.005: 200.0, 0.02: 50.0, 0.091: 10.0}


def planted(delta: float) -> np.ndarray:
    """Probabilities of group 1."""
    odds_LE = BASE_LE.copy()
    layer, expert = PLANTED
    odds_LE[layer, expert] *= np.exp(delta)
    return odds_LE / odds_LE.sum(axis=1, keepdims=True)


def make_counts(
    rng: np.random.Generator, documents: int, *, tokens: int = 200, icc: float = 0.02, delta: float = 0.0
) -> RoutingCounts:
    """Half of the documents in group "b" (number 1), in which the plant is."""
    group_D = rng.permutation(np.arange(documents) % 2)
    length_D = np.maximum(5, (tokens * rng.lognormal(-0.18, 0.6, documents)).astype(np.int64))
    counts_DLE = np.zeros((documents, *BASE_LE.shape), np.int32)
    for group, mean_LE in enumerate((BASE_LE, planted(delta))):
        rows = np.flatnonzero(group_D == group)
        for layer, mean_E in enumerate(mean_LE):
            own_DE = rng.dirichlet(CONCENTRATION[icc] * mean_E, len(rows))
            counts_DLE[rows, layer] = rng.multinomial(2 * length_D[rows], own_DE)
    tokens_DL = np.repeat(length_D[:, None], len(BASE_LE), axis=1).astype(np.int32)
    return RoutingCounts(counts_DLE=counts_DLE, tokens_DL=tokens_DL, group_D=group_D, groups=("a", "b"))
