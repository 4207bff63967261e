"""The Merkle root over the tokens of a segment: one hash commits to every decision of every token.

Leaf = SHA-256(0x00 + the packed rows of one token, in order); node = SHA-256(0x01 + left + right). The last node of
an odd level moves up unchanged (duplicating it would let two different leaf lists share a root), and the prefixes
keep a leaf from being passed off as a node. The same tree stands over the lines of a manifest, for published heads.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from moe_core.compiled import compiled
from moe_core.log.encoding import Decisions

_BUILT = compiled("moe_core.log._leaves")
COMPILED = _BUILT if _BUILT is not None and _BUILT.available() else None
Sibling = tuple[Literal["left", "right"], str]  # on which side it is, and its hash in hexadecimal


def token_starts(decisions: Decisions) -> list[int]:
    """Where each token (request_no, position) begins among the rows, in order, and their number at last."""
    starts: list[int] = _token_starts(decisions.rows_N).tolist() if len(decisions) else [0]
    return starts


def _token_starts(rows_N: NDArray[np.void]) -> NDArray[np.int64]:
    changes_N = (rows_N["request_no"][1:] != rows_N["request_no"][:-1]) | (
        rows_N["position"][1:] != rows_N["position"][:-1]
    )
    return np.concatenate(([0], np.flatnonzero(changes_N) + 1, [len(rows_N)]))


def leaf_hashes(decisions: Decisions) -> list[bytes]:
    """One hash per token, in the order of the rows."""
    if not len(decisions):
        return []
    size, data = decisions.rows_N.dtype.itemsize, np.ascontiguousarray(decisions.rows_N).view(np.uint8).data
    ends = [size * start for start in token_starts(decisions)]
    return hash_leaves(data[start:end] for start, end in pairwise(ends))


def hash_leaves(contents: Iterable[bytes | memoryview]) -> list[bytes]:
    begun, result = sha256(b"\x00"), []  # a copy of what is begun costs less than beginning, and copies no content
    for content in contents:
        leaf = begun.copy()
        leaf.update(content)
        result.append(leaf.digest())
    return result


def root_of(parts: Sequence[Decisions]) -> str:
    """`merkle_root` over the leaves of decisions that come in parts of whole tokens."""
    parts = [part for part in parts if len(part)]
    if COMPILED is None or not parts:
        return merkle_root([leaf for part in parts for leaf in leaf_hashes(part)])
    starts = [_token_starts(part.rows_N) for part in parts]
    digests = np.empty((sum(len(each) - 1 for each in starts), 32), np.uint8)
    at = 0
    for part, each in zip(parts, starts, strict=True):
        rows_N, ends = np.ascontiguousarray(part.rows_N), each * part.rows_N.dtype.itemsize
        COMPILED.leaves(rows_N.ctypes.data, ends.ctypes.data, len(each) - 1, digests[at:].ctypes.data)
        at += len(each) - 1
    COMPILED.root(digests.ctypes.data, len(digests))
    return bytes(digests[0]).hex()


def merkle_root(leaves: list[bytes]) -> str:
    """Hexadecimal root; of no leaves: the hash of nothing."""
    if not leaves:
        return sha256(b"").hexdigest()
    level = leaves
    while len(level) > 1:
        level = _parents(level)
    return level[0].hex()


def merkle_path(leaves: list[bytes], index: int) -> list[Sibling]:
    """What leads from leaf `index` to the root: at each level the hash beside it, none where it moves up unchanged."""
    path: list[Sibling] = []
    level = leaves
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(("left" if index & 1 else "right", level[index ^ 1].hex()))
        level, index = _parents(level), index // 2
    return path


def _parents(level: list[bytes]) -> list[bytes]:
    pairs = len(level) // 2 * 2
    return [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, pairs, 2)] + level[pairs:]
