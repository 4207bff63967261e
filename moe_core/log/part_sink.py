"""The sink of a process that answers a part of somebody else's run: it makes files durable and lists nothing."""

import secrets
from collections.abc import Sequence

from moe_core.errors import LogError
from moe_core.log.batches import write_batch_files
from moe_core.log.chunks import Chunk, OpenRun, encode_chunks
from moe_core.log.entries import BatchEntry, part_batch_id
from moe_core.log.store import Store
from moe_core.records import RequestRecord, RoutingBatch, RunRecord

FLUSH_DECISIONS = 200_000


class PartSink:
    """A `RoutingSink` for the requests of `run` from number `first_request_no` on. After `flush`, `batches` describes
    files that are durable; they count when the owner of the run, `writer_id`, has listed them (`GatheredRuns`).

    Writes when `flush_decisions` are waiting, in the thread that appends. Not thread-safe.
    """

    def __init__(
        self,
        store: Store,
        run: RunRecord,
        writer_id: str,
        first_request_no: int,
        flush_decisions: int = FLUSH_DECISIONS,
    ) -> None:
        self.batches: list[BatchEntry] = []
        self.flush_decisions = flush_decisions
        self._store, self._writer_id = store, writer_id
        self._run = OpenRun(run, next_request_no=first_request_no)
        self._attempt = secrets.token_hex(4)
        self._chunks: list[Chunk] = []

    def begin_run(self, run: RunRecord) -> None:
        if run.run_id != self._run.record.run_id:
            raise LogError(f"This sink stores a part of run {self._run.record.run_id!r}, not of {run.run_id!r}.")

    def append(self, requests: Sequence[RequestRecord], decisions: RoutingBatch) -> None:
        """Takes over requests and their decisions. Raises LogError where they cannot be stored."""
        self._chunks += encode_chunks(self._run, self._store, requests, decisions)
        self._run.next_request_no += len(requests)
        self._run.request_ids.update(request.request_id for request in requests)
        if sum(len(chunk.decisions) for chunk in self._chunks) >= self.flush_decisions:
            self.flush()

    def flush(self) -> None:
        """Everything appended before is in durable files. Raises LogError where that fails."""
        while self._chunks:
            day = self._chunks[0].day
            of_day = [chunk for chunk in self._chunks if chunk.day == day]
            requests = [request for chunk in of_day for request in chunk.requests]
            batch_id = part_batch_id(self._writer_id, requests[0].row[0], self._attempt)
            decisions = [chunk.decisions for chunk in of_day]
            self.batches.append(
                write_batch_files(self._store, self._run.record.run_id, batch_id, day, requests, decisions)
            )
            self._chunks = [chunk for chunk in self._chunks if chunk.day != day]

    def close(self) -> None:
        self.flush()
