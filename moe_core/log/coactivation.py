"""Which experts run together: pairs of experts that ran for the same token in the same layer, counted.

A token that ran k experts in a layer counts once for each of its k (k - 1) / 2 pairs. The counts are a product of a
sparse matrix with itself, whose cost follows the pairs that occur; a join of the decisions with themselves, the other
way, took 227 ns a decision where this takes 65 (half a million decisions of 16 experts, one core).

Shape letters: N decisions, P tokens in a layer (a row of the matrix), L layers, E experts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

PLACES_AT_ONCE = 200_000  # rows of one product; bounds the memory of its result


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Parallel arrays: in `layer`, experts first < second ran together for n tokens; n > 0."""

    layer: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    n: NDArray[np.int64]


def count_pairs(
    place_N: NDArray[np.integer], layer_N: NDArray[np.integer], expert_N: NDArray[np.integer]
) -> PairCounts:
    """Counts pairs among decisions in which the expert ran. `place_N`: equal for the decisions of one token in one
    layer, and neighbours where equal. No expert stands twice in a place."""
    if not len(place_N):
        return PairCounts(*(np.empty(0, np.int64) for _ in range(4)))
    n_experts = int(expert_N.max()) + 1
    columns = layer_N.astype(np.int64) * n_experts + expert_N
    width = int(columns.max()) + 1
    starts_P = np.concatenate(([0], np.flatnonzero(place_N[1:] != place_N[:-1]) + 1, [len(place_N)]))
    total = csr_matrix((width, width), dtype=np.int64)
    for low in range(0, len(starts_P) - 1, PLACES_AT_ONCE):
        bounds = starts_P[low : low + PLACES_AT_ONCE + 1]
        part = columns[bounds[0] : bounds[-1]]
        ran = csr_matrix(
            (np.ones(len(part), np.int32), part, bounds - bounds[0]), shape=(len(bounds) - 1, width), copy=False
        )
        total = total + ran.T @ ran
    pairs = total.tocoo()
    above = pairs.row < pairs.col
    row, column, n = pairs.row[above].astype(np.int64), pairs.col[above].astype(np.int64), pairs.data[above]
    order = np.lexsort((column, row))
    row, column = row[order], column[order]
    return PairCounts(row // n_experts, row % n_experts, column % n_experts, n[order].astype(np.int64))
