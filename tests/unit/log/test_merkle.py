"""The Merkle root over tokens."""

from functools import reduce
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_core.log import merkle
from moe_core.log.encoding import ROW_DTYPE, Decisions, quantise
from moe_core.log.merkle import Sibling, hash_leaves, leaf_hashes, merkle_path, merkle_root, root_of, token_starts
from tests.unit.log.build import plain_batch

A, B, C = (sha256(name).digest() for name in (b"a", b"b", b"c"))


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def step(at: bytes, sibling: Sibling) -> bytes:
    other = bytes.fromhex(sibling[1])
    return node(other, at) if sibling[0] == "left" else node(at, other)


def test_roots_by_hand() -> None:
    """No leaf, one, two, three: the third moves up as it is."""
    assert merkle_root([]) == sha256(b"").hexdigest()
    assert merkle_root([A]) == A.hex()
    assert merkle_root([A, B]) == node(A, B).hex()
    assert merkle_root([A, B, C]) == node(node(A, B), C).hex()
    assert merkle_root([A, B, C, A, B]) == node(node(node(A, B), node(C, A)), B).hex()


def test_a_repeated_last_leaf_changes_the_root() -> None:
    """With duplicated odd nodes [a, b, c] and [a, b, c, c] would share a root."""
    assert merkle_root([A, B, C]) != merkle_root([A, B, C, C])


def test_a_leaf_is_a_token() -> None:
    """3 tokens in 2 layers with 2 decisions each: 3 leaves, each the hash of 4 packed rows of 32 bytes."""
    decisions = quantise(plain_batch([2, 1]), 0)
    leaves = leaf_hashes(decisions)
    assert len(decisions) == 12
    assert ROW_DTYPE.itemsize == 32
    assert leaves == [sha256(b"\x00" + decisions.rows_N[i : i + 4].tobytes()).digest() for i in (0, 4, 8)]


def test_every_bit_of_a_row_counts() -> None:
    """Flip any single bit of any row: another root."""
    rows_N = quantise(plain_batch([2]), 0).rows_N
    root = merkle_root(leaf_hashes(Decisions(rows_N)))
    data = rows_N.tobytes()
    selected_at = ROW_DTYPE.fields["selected"][1]  # type: ignore[index]
    for bit in range(8 * len(data)):
        if bit // 8 % ROW_DTYPE.itemsize == selected_at and bit % 8:
            continue  # a bool has one bit
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert merkle_root(leaf_hashes(Decisions(np.frombuffer(bytes(flipped), ROW_DTYPE)))) != root


@given(st.integers(1, 70), st.data())
def test_a_path_leads_from_its_leaf_to_the_root_and_from_no_other(n: int, data: st.DataObject) -> None:
    """For trees of 1 to 70 leaves: folding a leaf with its path gives the root, folding another leaf does not; no two
    leaves of a tree have the same sides on their way."""
    leaves = hash_leaves(bytes([i]) for i in range(n))
    path = merkle_path(leaves, data.draw(st.integers(0, n - 1)))
    ends = [reduce(step, path, leaf).hex() for leaf in leaves]
    assert ends.count(merkle_root(leaves)) == 1
    assert merkle_path(leaves, ends.index(merkle_root(leaves))) == path
    sides = {tuple(side for side, _ in merkle_path(leaves, i)) for i in range(n)}
    assert len(sides) == n


def test_a_path_by_hand() -> None:
    """Of three leaves, the first has the second and then the third to its right, the third only a pair to its left."""
    assert merkle_path([A, B, C], 0) == [("right", B.hex()), ("right", C.hex())]
    assert merkle_path([A, B, C], 1) == [("left", A.hex()), ("right", C.hex())]
    assert merkle_path([A, B, C], 2) == [("left", node(A, B).hex())]
    assert merkle_path([A], 0) == []


def test_tokens_are_found_where_they_begin() -> None:
    """2 tokens and 1 token of 4 rows each begin at 0, 4, 8 and end at 12; without rows there is no token."""
    assert token_starts(quantise(plain_batch([2, 1]), 0)) == [0, 4, 8, 12]
    assert token_starts(quantise(plain_batch([]), 0)) == [0]


@pytest.mark.skipif(merkle.COMPILED is None, reason="no compiler, or a processor without SHA instructions")
@given(st.lists(st.lists(st.integers(1, 40), max_size=9), max_size=4), st.integers(0, 2**32 - 1))
def test_the_compiled_root_is_hashlibs(tokens: list[list[int]], seed: int) -> None:
    """Tokens of 1 to 40 decisions of any content, in any parts: the same root, bit for bit."""
    rng, parts, position = np.random.default_rng(seed), [], 0
    for lengths in tokens:
        rows_N = np.frombuffer(rng.bytes(sum(lengths) * ROW_DTYPE.itemsize), ROW_DTYPE).copy()
        rows_N["selected"] = True
        rows_N["request_no"] = 0
        rows_N["position"] = np.repeat(np.arange(position, position + len(lengths)), lengths)
        position += len(lengths)
        parts.append(Decisions(rows_N))
    assert root_of(parts) == merkle_root([leaf for part in parts for leaf in leaf_hashes(part)])


@pytest.mark.skipif(merkle.COMPILED is None, reason="no compiler, or a processor without SHA instructions")
def test_the_compiled_hash_is_right_at_every_length() -> None:
    """0 to 400 bytes: where SHA-256 pads one block or two, and everywhere between."""
    data = np.random.default_rng(3).integers(0, 256, 400, dtype=np.uint8)
    for size in range(401):
        ends, digest = np.array([0, size]), np.empty((1, 32), np.uint8)
        merkle.COMPILED.leaves(data.ctypes.data, ends.ctypes.data, 1, digest.ctypes.data)
        assert bytes(digest[0]) == sha256(b"\x00" + data[:size].tobytes()).digest()
