"""Imported rows in the order of the log: by request, position, layer and rank; and the rank, where the file has none.

Shape letters: N rows, G groups (one per token and layer).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moe_core.log.imports.decisions import DecisionRows

_WORD = 64  # bits


def in_order(
    rows: DecisionRows, number_N: NDArray[np.int64]
) -> tuple[DecisionRows, NDArray[np.int64], NDArray[np.int64]]:
    """-> the rows and their `number_N` (ascending: numbers of requests) in order, and where each group begins."""
    parts: list[NDArray[np.integer]] = [number_N - number_N[0], rows.position_N, rows.layer_N]
    by_rank = [] if rows.rank_N is None else [rows.rank_N]
    order_N = stable_order([*parts, *by_rank])
    if order_N is not None:
        rows, number_N = rows[order_N], number_N[order_N]
    same_N = (
        (number_N[1:] == number_N[:-1])
        & (rows.position_N[1:] == rows.position_N[:-1])
        & (rows.layer_N[1:] == rows.layer_N[:-1])
    )
    return rows, number_N, np.flatnonzero(np.concatenate(([True], ~same_N)))


def with_rank(
    rows: DecisionRows, starts_G: NDArray[np.int64], basis: str | None
) -> tuple[DecisionRows, NDArray[np.int16]]:
    """The rank within each group: executed experts first, then by the column `basis` from the largest down, unknown
    values last, then as in the file. -> the rows in that order, and their ranks."""
    lengths_G = np.diff(starts_G, append=len(rows))
    score_N = np.zeros(len(rows)) if basis is None else getattr(rows, f"{basis}_N")
    falling_N = np.where(np.isnan(score_N), np.inf, -score_N).astype(np.float32)
    group_N = np.repeat(np.arange(len(starts_G)), lengths_G)
    order_N = stable_order([group_N, ~rows.selected_N, _sortable(falling_N)])
    if order_N is not None:
        rows = rows[order_N]
    rank_N = np.arange(len(rows)) - np.repeat(starts_G, lengths_G)
    return rows, rank_N.astype(np.int16)


def stable_order(parts: Sequence[NDArray[np.generic]]) -> NDArray[np.int64] | None:
    """The order that sorts by these non-negative columns, the first one foremost; None where they are sorted already.

    Packs all of them, and the place of the row, into one 64-bit word if they fit: that sorts several times faster.
    """
    n = len(parts[0])
    widths = [int(part.max()).bit_length() for part in parts] if n else []
    if sum(widths) > _WORD:
        order_N = np.lexsort([*reversed(parts)])
        return None if (np.diff(order_N) > 0).all() else order_N
    word_N = np.zeros(n, np.uint64)
    for part, width in zip(parts, widths, strict=False):
        word_N <<= np.uint64(width)
        word_N |= part.astype(np.uint64)
    if not n or (word_N[1:] >= word_N[:-1]).all():
        return None
    places = max(n - 1, 1).bit_length()
    if sum(widths) + places > _WORD:
        return np.argsort(word_N, kind="stable")
    word_N = np.sort((word_N << np.uint64(places)) | np.arange(n, dtype=np.uint64))
    return (word_N & np.uint64(2**places - 1)).astype(np.int64)


def _sortable(values_N: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Unsigned integers in the order of these numbers; -0 counts as 0."""
    bits_N = (values_N + np.float32(0)).view(np.uint32)
    negative_N = bits_N >> np.uint32(31) == 1
    return np.where(negative_N, ~bits_N, bits_N | np.uint32(1 << 31))
