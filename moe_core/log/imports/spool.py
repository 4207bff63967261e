"""Checked decisions, quantised, on their way into the store: in memory while they are few, then in an unnamed file.

Nothing is written into the store before the last row was checked; the spool holds 32 bytes per decision until then.
The file has no name, so that it is gone when the process is, however it ends. Shape letters: N rows.
"""

import tempfile
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from moe_core.errors import LogError
from moe_core.log import encoding

BATCH_DECISIONS = 500_000  # of one batch of the store
BUFFERED_DECISIONS = 2_000_000  # of all runs and days together
IN_MEMORY_BYTES = 64 * 2**20


@dataclass(eq=False, slots=True)
class SpooledBatch:
    """What becomes one batch: the rows `n_rows` from `offset` on, and the rows of its requests in requests.parquet."""

    run: int
    day: str
    offset: int
    n_rows: int
    requests: list[NDArray[np.int64]]


@dataclass(eq=False, slots=True)
class _Buffer:
    n_rows: int = 0
    rows: list[NDArray[np.void]] = field(default_factory=list)
    requests: list[NDArray[np.int64]] = field(default_factory=list)


class Spool:
    """Collects decisions by run and day. Use it as a context manager."""

    def __init__(self) -> None:
        self.batches: list[SpooledBatch] = []
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, prefix="routelens-import-")  # noqa: SIM115
        self._buffers: dict[tuple[int, str], _Buffer] = {}
        self._buffered = self._offset = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, run: int, day: str, decisions: encoding.Decisions, requests: NDArray[np.int64]) -> None:
        """Whole requests of one run and day, in the order of their numbers. Raises LogError where space is short."""
        buffer = self._buffers.setdefault((run, day), _Buffer())
        buffer.rows.append(decisions.rows_N)
        buffer.requests.append(requests)
        buffer.n_rows += len(decisions)
        self._buffered += len(decisions)
        if buffer.n_rows >= BATCH_DECISIONS:
            self._write((run, day))
        elif self._buffered >= BUFFERED_DECISIONS:
            self._write(max(self._buffers, key=lambda key: self._buffers[key].n_rows))

    def finish(self) -> None:
        """Nothing is added any more."""
        for key in list(self._buffers):
            self._write(key)

    def read(self, batch: SpooledBatch) -> encoding.Decisions:
        self._file.seek(batch.offset)
        data = self._file.read(batch.n_rows * encoding.ROW_DTYPE.itemsize)
        return encoding.Decisions(np.frombuffer(data, encoding.ROW_DTYPE))

    def _write(self, key: tuple[int, str]) -> None:
        buffer = self._buffers.pop(key)
        try:
            for rows_N in buffer.rows:
                self._file.write(rows_N.view(np.uint8).data)
        except OSError as error:
            raise LogError(
                f"Cannot hold the checked rows in {tempfile.gettempdir()}: {error.strerror}; free some space there or "
                "set TMPDIR to another folder; the store is as it was."
            ) from error
        self.batches.append(SpooledBatch(*key, self._offset, buffer.n_rows, buffer.requests))
        self._offset += buffer.n_rows * encoding.ROW_DTYPE.itemsize
        self._buffered -= buffer.n_rows
