"""The Merkle root over the tokens of a segment: one hash commits to every decision of every token.

Leaf = SHA-256(0x00 + the packed rows of one token, in order); node = SHA-256(0x01 + left + right). The last node of
an odd level moves up unchanged (duplicating it would let two different leaf lists share a root), and the prefixes
keep a leaf from being passed off as a node. The same tree stands over the lines of a manifest, for published heads.
"""

from collections.abc import Iterable
from hashlib import sha256
from itertools import pairwise
from typing import Literal

import numpy as np

from moe_core.log.encoding import Decisions

Sibling = tuple[Literal["left", "right"], str]  # on which side it is, and its hash in hexadecimal


def token_starts(decisions: Decisions) -> list[int]:
    """Where each token (request_no, position) begins among the rows, in order, and their number at last."""
    rows_N = decisions.rows_N
    if not len(rows_N):
        return [0]
    changes_N = (rows_N["request_no"][1:] != rows_N["request_no"][:-1]) | (
        rows_N["position"][1:] != rows_N["position"][:-1]
    )
    return [0, *(np.flatnonzero(changes_N) + 1).tolist(), len(rows_N)]


def leaf_hashes(decisions: Decisions) -> list[bytes]:
    """One hash per token, in the order of the rows."""
    size, data = decisions.rows_N.dtype.itemsize, decisions.rows_N.tobytes()
    ends = [size * start for start in token_starts(decisions)]
    return hash_leaves(data[start:end] for start, end in pairwise(ends))


def hash_leaves(contents: Iterable[bytes]) -> list[bytes]:
    return [sha256(b"\x00" + content).digest() for content in contents]


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
