"""Ways to deal the group labels to the documents: permuted within strata, or shuffled by a unit above the document."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int8]
Blocks = Iterator[Labels]
BLOCK_ELEMENTS = 8_000_000  # of one block of labels; as float32 32 MB


def rows_at_once(n_documents: int) -> int:
    """Labellings of one block: depends on the documents only, so that the same seed means the same labellings for
    whatever is computed from them."""
    return int(np.clip(BLOCK_ELEMENTS // max(n_documents, 1), 1, 512))


def permuted(
    group_D: NDArray[np.integer], stratum_D: NDArray[np.integer] | None, n: int, seed: list[int]
) -> Blocks:
    """`n` labellings in blocks of shape (rows, D): the labels of each stratum, in random order. The same arguments give
    the same labellings."""
    rng, at_once = np.random.default_rng(seed), rows_at_once(len(group_D))
    labels_D = group_D.astype(np.int8)
    strata = [slice(None)] if stratum_D is None else [np.flatnonzero(stratum_D == s) for s in np.unique(stratum_D)]
    for low in range(0, n, at_once):
        rows = min(at_once, n - low)
        block_BD = np.empty((rows, len(labels_D)), np.int8)
        for of_stratum in strata:
            dealt = np.broadcast_to(labels_D[of_stratum], (rows, len(labels_D[of_stratum])))
            block_BD[:, of_stratum] = rng.permuted(dealt, axis=1)
        yield block_BD


def shuffled(
    group_D: NDArray[np.integer], stratum_D: NDArray[np.integer] | None, unit_D: NDArray[np.integer] | None, n: int,
    seed: list[int],
) -> Blocks:  # fmt: skip
    """As `permuted`, for the negative control, and made in another way: units draw random numbers and stand in their
    order. All documents of a unit keep one label. Units stay within their stratum where each of them lies in one."""
    rng, at_once = np.random.default_rng(seed), rows_at_once(len(group_D))
    _, first_U, unit_D = np.unique(
        np.arange(len(group_D)) if unit_D is None else unit_D, return_index=True, return_inverse=True
    )
    label_U = group_D[first_U].astype(np.int8)
    stratum_U = np.zeros(len(first_U), np.int64)
    if stratum_D is not None and np.array_equal(stratum_D, stratum_D[first_U][unit_D]):
        stratum_U = np.unique(stratum_D[first_U], return_inverse=True)[1]
    place_U = np.argsort(stratum_U, kind="stable")
    for low in range(0, n, at_once):
        drawn_BU = rng.random((min(at_once, n - low), len(first_U))) + stratum_U[place_U]
        dealt_BU = np.empty(drawn_BU.shape, np.int8)
        dealt_BU[:, place_U] = label_U[place_U][np.argsort(drawn_BU, axis=1)]
        yield dealt_BU[:, unit_D]
