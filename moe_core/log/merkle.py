"""The Merkle root over the tokens of a segment: one hash commits to every decision of every token.

Leaf = SHA-256(0x00 + the packed rows of one token, in order); node = SHA-256(0x01 + left + right). The last node of
an odd level moves up unchanged (duplicating it would let two different leaf lists share a root), and the prefixes
keep a leaf from being passed off as a node.
"""

from hashlib import sha256

import numpy as np

from moe_core.log.encoding import Decisions


def leaf_hashes(decisions: Decisions) -> list[bytes]:
    """One hash per token (request_no, position), in the order of the rows."""
    rows_N = decisions.rows_N
    if not len(rows_N):
        return []
    changes_N = (rows_N["request_no"][1:] != rows_N["request_no"][:-1]) | (
        rows_N["position"][1:] != rows_N["position"][:-1]
    )
    size = rows_N.dtype.itemsize
    starts = [0, *((np.flatnonzero(changes_N) + 1) * size).tolist()]
    data = rows_N.tobytes()
    return [
        sha256(b"\x00" + data[start:end]).digest() for start, end in zip(starts, [*starts[1:], len(data)], strict=True)
    ]


def merkle_root(leaves: list[bytes]) -> str:
    """Hexadecimal root; of no leaves: the hash of nothing."""
    if not leaves:
        return sha256(b"").hexdigest()
    level = leaves
    while len(level) > 1:
        pairs = len(level) // 2 * 2
        parents = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, pairs, 2)]
        level = parents + level[pairs:]
    return level[0].hex()
