"""Tokens of an import, from tokens.parquet or from the token_id column of decisions.parquet.

Shape letters: K tokens, N rows of the file, R requests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from moe_core.log.imports.checks import RowFaults, flag, whole
from moe_core.log.imports.columns import ImportFile
from moe_core.log.imports.requests import UNKNOWN_COUNT, ImportedRequests
from moe_core.log.request_encoding import TOKEN_SCHEMA

LARGEST = 2**31 - 1
NO_TOKEN = -1


@dataclass(frozen=True, eq=False, slots=True)
class ImportedTokens:
    """`key_K` = row of the request in requests.parquet x 2^31 + position, ascending and unique."""

    key_K: NDArray[np.int64]
    token_id_K: NDArray[np.int32]
    is_special_K: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.key_K)

    def find(self, key: NDArray[np.int64]) -> NDArray[np.int64]:
        """The token id at each of these keys; -1 where there is none."""
        if not len(self):
            return np.full(len(key), NO_TOKEN, np.int64)
        place = np.minimum(np.searchsorted(self.key_K, key), len(self) - 1)
        return np.where(self.key_K[place] == key, self.token_id_K[place], NO_TOKEN)

    def lengths(self, n_requests: int) -> NDArray[np.int64]:
        """Highest position with a token, plus 1, of each request; 0 without tokens."""
        ends = np.searchsorted(self.key_K, token_key(np.arange(1, n_requests + 1), np.int64(0)))
        starts = np.concatenate(([0], ends[:-1]))
        length_R = np.zeros(n_requests, np.int64)
        has = ends > starts
        length_R[has] = (self.key_K[ends[has] - 1] & LARGEST) + 1
        return length_R

    def table(self, rows: NDArray[np.int64], number_R: NDArray[np.int64]) -> pa.Table:
        """The tokens of these requests in `TOKEN_SCHEMA`, request by request in the order of `rows`."""
        starts = np.searchsorted(self.key_K, token_key(rows, np.int64(0)))
        lengths = np.searchsorted(self.key_K, token_key(rows + 1, np.int64(0))) - starts
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        chosen = np.repeat(starts, lengths) + within
        arrays = [
            pa.array(np.repeat(number_R[rows], lengths).astype(np.uint32)),
            pa.array((self.key_K[chosen] & LARGEST).astype(np.int32)),
            pa.array(self.token_id_K[chosen]),
            pa.array(self.is_special_K[chosen]),
        ]
        return pa.table(arrays, schema=TOKEN_SCHEMA)


def token_key(request: NDArray[np.integer], position: NDArray[np.integer] | np.int64) -> NDArray[np.int64]:
    key: NDArray[np.int64] = (request.astype(np.int64) << 31) | position
    return key


def join_tokens(keys: Sequence[NDArray[np.int64]], ids: Sequence[NDArray[np.int32]]) -> ImportedTokens:
    """Tokens as the decisions of one request after the other name them; none is special as far as is known."""
    key_K = np.concatenate([np.empty(0, np.int64), *keys])
    token_id_K = np.concatenate([np.empty(0, np.int32), *ids])
    order_K = np.argsort(key_K, kind="stable")
    return ImportedTokens(key_K[order_K], token_id_K[order_K], np.zeros(len(key_K), np.bool_))


def read_tokens(file: ImportFile, requests: ImportedRequests) -> ImportedTokens:
    """Raises InputError naming the first row that cannot be stored."""
    keys, ids, specials = [], [], []
    first = 0
    for batch in file.batches(2**18):
        faults = RowFaults(file.path, np.arange(first, first + len(batch)))
        request_N = requests.keys.locate(faults, batch.column("run_id"), batch.column("request_id"))
        position_N = whole(faults, "position", batch.column("position"), 0, LARGEST - 1, "positions count from 0")
        token_id_N = whole(faults, "token_id", batch.column("token_id"), 0, LARGEST, "write the token's number")
        is_special_N = (
            flag(faults, "is_special", batch.column("is_special"))
            if "is_special" in file.present
            else np.zeros(len(batch), np.bool_)
        )
        check_within(faults, requests, request_N, position_N)
        faults.raise_first()
        keys.append(token_key(request_N, position_N.astype(np.int64)))
        ids.append(token_id_N.astype(np.int32))
        specials.append(is_special_N)
        first += len(batch)
    key_N = np.concatenate(keys)
    order_N = np.argsort(key_N, kind="stable")
    key_K = key_N[order_N]
    faults = RowFaults(file.path, np.arange(len(key_N)))
    repeated_N = np.zeros(len(key_N), np.bool_)
    repeated_N[order_N[1:][key_K[1:] == key_K[:-1]]] = True
    faults.add(
        repeated_N,
        lambda i: (
            f"position {key_N[i] & LARGEST} of request {requests.ids[int(key_N[i] >> 31)].as_py()!r} was listed "
            "before; list each token once"
        ),
    )
    faults.raise_first()
    return ImportedTokens(key_K, np.concatenate(ids)[order_N], np.concatenate(specials)[order_N])


def check_within(
    faults: RowFaults, requests: ImportedRequests, request_N: NDArray[np.int32], position_N: NDArray[np.integer]
) -> None:
    """A position at or beyond the n_tokens that requests.parquet gives is a fault."""
    n_tokens_N = requests.n_tokens_R[request_N]
    beyond_N = (position_N >= n_tokens_N) & (n_tokens_N != UNKNOWN_COUNT)
    if beyond_N.any():
        faults.add(
            beyond_N,
            lambda i: (
                f"position is {position_N[i]}, but request {requests.ids[int(request_N[i])].as_py()!r} has n_tokens "
                f"{n_tokens_N[i]} in requests.parquet; positions count from 0: mend one of the two"
            ),
        )
