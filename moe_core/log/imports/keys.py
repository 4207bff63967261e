"""Which request a row belongs to: (run_id, request_id) -> its row in requests.parquet, without a Python object per row.

Shape letters: N rows, R requests, S stretches of rows with the same ids.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from moe_core.log.imports.checks import RowFaults

_UNKNOWN, _NULL = -1, -2


def numbered(texts: Iterable[str]) -> dict[str, int]:
    """Each text -> its place."""
    return {text: i for i, text in enumerate(texts)}


def codes(known: Mapping[str, int], values: pa.Array) -> NDArray[np.int64]:
    """The number of each text; -1 for one that is not known, -2 for NULL."""
    if not pa.types.is_dictionary(values.type):
        values = values.dictionary_encode()
    numbers = [known.get(text, _UNKNOWN) for text in values.dictionary.to_pylist()]
    indices = values.indices.fill_null(len(numbers)).to_numpy(zero_copy_only=False)
    code_N: NDArray[np.int64] = np.array([*numbers, _NULL], np.int64)[indices]
    return code_N


def text_at(values: pa.Array, i: int) -> str:
    """The text of one row, for a sentence."""
    return repr(values[i].as_py())


def run_codes(faults: RowFaults, runs: Mapping[str, int], run_id: pa.Array) -> NDArray[np.int64]:
    """The number of each row's run; a NULL or a run that runs.json does not list is a fault."""
    run_N = codes(runs, run_id)
    if len(run_N) and run_N.min() < 0:
        faults.add(run_N == _NULL, lambda i: "run_id is NULL; write the id of a run of runs.json")
        faults.add(
            run_N == _UNKNOWN,
            lambda i: (
                f"run_id is {text_at(run_id, i)}, which runs.json does not list; list the run or leave the row out"
            ),
        )
    return run_N


class RequestKeys:
    """The requests of an import by their ids. `run_R` numbers the run of each, `request_ids` names it."""

    def __init__(self, runs: Sequence[str], run_R: NDArray[np.int64], request_ids: pa.Array) -> None:
        encoded = request_ids.dictionary_encode()
        self.runs = numbered(runs)
        self._ids = numbered(encoded.dictionary.to_pylist())
        key_R = run_R * len(self._ids) + encoded.indices.to_numpy(zero_copy_only=False)
        self._row_R = np.argsort(key_R, kind="stable").astype(np.int32)
        self._key_R = key_R[self._row_R]

    def repeated(self) -> NDArray[np.int32]:
        """The rows of requests.parquet whose ids an earlier row has."""
        row: NDArray[np.int32] = self._row_R[1:][self._key_R[1:] == self._key_R[:-1]]
        return row

    def locate(self, faults: RowFaults, run_id: pa.Array, request_id: pa.Array) -> NDArray[np.int32]:
        """The row in requests.parquet of each row's request; a NULL, a run or a request not listed is a fault."""
        run_N, id_N = run_codes(faults, self.runs, run_id), codes(self._ids, request_id)
        key_N = run_N * len(self._ids) + id_N
        if not len(key_N):
            return np.empty(0, np.int32)
        if min(run_N.min(), id_N.min()) < 0:
            key_N[(run_N < 0) | (id_N < 0)] = _UNKNOWN
        starts_S = np.flatnonzero(np.concatenate(([True], key_N[1:] != key_N[:-1])))
        key_S = key_N[starts_S]
        place_S = np.minimum(np.searchsorted(self._key_R, key_S), len(self._key_R) - 1)
        known_S = self._key_R[place_S] == key_S
        lengths_S = np.diff(starts_S, append=len(key_N))
        if not known_S.all():
            known_N = np.repeat(known_S, lengths_S)
            faults.add(id_N == _NULL, lambda i: "request_id is NULL; write the id of a request of requests.parquet")
            faults.add(
                ~known_N & (id_N != _NULL) & (run_N >= 0),
                lambda i: (
                    f"request_id is {text_at(request_id, i)}, which requests.parquet does not list for run "
                    f"{text_at(run_id, i)}; list the request there or leave the row out"
                ),
            )
        return np.repeat(self._row_R[place_S], lengths_S)
