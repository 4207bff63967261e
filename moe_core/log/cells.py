"""Cells of a count: each has a number, and `np.bincount` adds up per number."""

import numpy as np
from numpy.typing import NDArray

FEW_CELLS = 1 << 16  # more of them, and more than there are rows: then only those that occur are numbered

Integers = NDArray[np.int64]


def numbered(cell_N: Integers, n_cells: int) -> tuple[Integers, Integers]:
    """-> (what the numbers mean, the number of each row): all cells, or those that occur where there are too many."""
    if n_cells <= max(len(cell_N), FEW_CELLS):
        return np.arange(n_cells), cell_N
    cell_C, number_N = np.unique(cell_N, return_inverse=True)
    return cell_C, number_N


def count_of(values: NDArray[np.integer]) -> int:
    """The largest of these numbers plus 1; 0 without any."""
    return int(values.max()) + 1 if len(values) else 0
