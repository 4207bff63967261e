"""The sink that stores: buffers what recorders hand over and makes it durable, batch by batch.

One flush = three files (tmp -> fsync -> rename -> fsync of the folder), then one line in the manifest, then fsync.
Only after that is a batch acknowledged. A killed process loses what it had not acknowledged and nothing else.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from moe_core.errors import LogError
from moe_core.log import encoding
from moe_core.log.batches import claim_run, remove_batch_files, sweep_leftovers, write_batch_files
from moe_core.log.chunks import Chunk, OpenRun, decisions_together, encode_chunks, encode_later, made
from moe_core.log.entries import run_fields
from moe_core.log.manifest import ManifestWriter
from moe_core.log.store import check_run_id, open_or_create_store
from moe_core.log.unrecorded import WHEN_FULL, Unrecorded, WhenFull
from moe_core.records import RequestRecord, RoutingBatch, RunRecord, TakenDecisions

AHEAD = 20_000  # decisions from which records are made before they are due: fewer at a time cost more each
BUFFER_LIMIT = 8  # times flush_decisions: while the disk is full, memory must not fill as well


class SegmentSink:
    """A `RoutingSink` that writes into a store. Thread-safe; belongs to the process that made it.

    `append` copies and returns; a thread writes when `flush_decisions` are waiting or the oldest has waited
    `flush_seconds`. `flush` returns when everything handed over before is durable. A batch that cannot be written
    stays in memory and is tried again every `flush_seconds`; meanwhile `append` raises the LogError that says why.

    When the queue is full (`BUFFER_LIMIT` flushes wait), `append` waits; or, if `when_full` is "incomplete", it neither
    waits nor raises for the disk: what it cannot take over is counted in `unrecorded` and in the manifest.
    Use it as a context manager, or call `close`.
    """

    def __init__(
        self,
        store_dir: Path | str,
        *,
        flush_decisions: int = 200_000,
        flush_seconds: float = 1.0,
        when_full: WhenFull = "wait",
    ) -> None:
        if flush_decisions < 1 or not flush_seconds > 0:
            raise LogError("flush_decisions and flush_seconds must be greater than 0.")
        if when_full not in WHEN_FULL:
            raise LogError(f"when_full is {when_full!r}; give one of {', '.join(WHEN_FULL)}.")
        self.store = open_or_create_store(store_dir)
        self.flush_decisions = flush_decisions
        self.flush_seconds = flush_seconds
        self.when_full = when_full
        self.unrecorded = Unrecorded()  # of all runs of this sink
        self._pid = os.getpid()
        self._manifest: ManifestWriter | None = None
        self._next_batch = 0
        self._writing = threading.RLock()  # held while files are written; taken before _buffer
        self._buffer = threading.Condition()  # guards what follows
        self._run: OpenRun | None = None
        self._chunks: list[Chunk] = []
        self._waiting = 0  # weight of _chunks
        self._unmade = 0  # weight of those whose decisions are no records yet
        self._unmarked: dict[str, Unrecorded] = {}  # by run: what no line of the manifest tells yet
        self._waiting_since = 0.0
        self._failure: str | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        atexit.register(self.close)

    def begin_run(self, run: RunRecord) -> None:
        """What is appended from now on belongs to `run`; the run before it, if any, is ended.

        Raises LogError where the store has a run of that id from before or from another writer.
        """
        check_run_id(run.run_id)
        fields = run_fields(run)
        with self._writing:
            self._check_usable()
            before = self._run
            if before is not None and before.record.run_id == run.run_id:
                if before.record != run:
                    raise LogError(f"Run {run.run_id!r} has begun with other settings; give the new run another id.")
                return
            if self._manifest is None:
                self._manifest = ManifestWriter(self.store)
            claim_run(self.store, self._manifest, run.run_id, fields)
            with self._buffer:
                self._run = OpenRun(run)
            if self._thread is None:
                self._thread = threading.Thread(target=self._flush_in_time, name="routelens-log", daemon=True)
                self._thread.start()
            self._end(before)

    def append(self, requests: Sequence[RequestRecord], decisions: RoutingBatch) -> None:
        """Takes over requests and their decisions. When it raises LogError, it took nothing."""
        self._take(requests, decisions, lambda run: encode_chunks(run, self.store, requests, decisions))

    def append_later(self, requests: Sequence[RequestRecord], decisions: TakenDecisions) -> None:
        """The same for decisions that are made into records when they are written, or before in the background."""
        self._take(requests, decisions, lambda run: encode_later(run, self.store, requests, decisions))

    def _take(
        self, requests: Sequence[RequestRecord], decisions: Sized, encode: Callable[[OpenRun], list[Chunk]]
    ) -> None:
        with self._buffer:
            self._check_usable()
            if self.when_full == "wait":
                while self._is_full() and self._failure is None and not self._closed:
                    self._buffer.wait(self.flush_seconds)
                self._check_usable()
                if self._failure is not None:
                    raise LogError(self._failure)
            if self._run is None:
                raise LogError("Nothing can be appended before begin_run.")
            if self._is_full():
                self._leave_out(self._run.record.run_id, requests, decisions)
                return
            chunks = encode(self._run)
            self._run.next_request_no += len(requests)
            self._run.request_ids.update(request.request_id for request in requests)
            if not chunks:
                return
            if not self._chunks:
                self._waiting_since = time.monotonic()
                self._buffer.notify_all()
            self._chunks += chunks
            weight = sum(chunk.weight for chunk in chunks)
            self._waiting += weight
            self._unmade += sum(chunk.weight for chunk in chunks if not isinstance(chunk.decisions, encoding.Decisions))
            if self._waiting >= self.flush_decisions or self._unmade >= AHEAD:
                self._buffer.notify_all()

    def flush(self) -> None:
        """Everything appended before is durable when it returns. Raises LogError where that fails."""
        with self._writing:
            self._check_usable()
            with self._buffer:
                chunks, self._chunks, self._waiting, self._unmade = self._chunks, [], 0, 0
                unmarked, self._unmarked = self._unmarked, {}
            try:
                self._mark_incomplete(unmarked)
                while chunks:
                    run, day = chunks[0].run, chunks[0].day
                    self._write_batch(run, day, [chunk for chunk in chunks if chunk.run is run and chunk.day == day])
                    chunks = [chunk for chunk in chunks if not (chunk.run is run and chunk.day == day)]
            except BaseException as error:
                reason = str(error) if isinstance(error, LogError) else f"Cannot write the log: {error!r}."
                with self._buffer:
                    self._chunks = chunks + self._chunks
                    self._waiting = sum(chunk.weight for chunk in self._chunks)
                    for run_id, lacking in unmarked.items():
                        self._unmarked[run_id] = self._unmarked.get(run_id, Unrecorded()) + lacking
                    self._waiting_since = time.monotonic()
                    self._failure = reason
                    self._buffer.notify_all()
                if isinstance(error, Exception) and not isinstance(error, LogError):
                    raise LogError(reason) from error
                raise
            with self._buffer:
                self._failure = None
                self._buffer.notify_all()

    def close(self) -> None:
        """Flushes, ends the run and lets go of the manifest. Calling it again does nothing."""
        if self._closed or self._pid != os.getpid():
            return
        try:
            with self._writing:
                with self._buffer:
                    run, self._run = self._run, None
                self._end(run)
        finally:
            with self._buffer:
                self._closed = True
                self._buffer.notify_all()
            if self._thread is not None:
                self._thread.join()
            if self._manifest is not None:
                self._manifest.close()
            atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_usable(self) -> None:
        if self._closed:
            raise LogError("This SegmentSink is closed; make a new one.")
        if self._pid != os.getpid():
            raise LogError("This SegmentSink belongs to another process; make a new one after a fork.")

    def _is_full(self) -> bool:
        return self._waiting >= BUFFER_LIMIT * self.flush_decisions

    def _leave_out(self, run_id: str, requests: Sequence[RequestRecord], decisions: Sized) -> None:
        if not requests:
            return
        lacking = Unrecorded(
            requests=len(requests), tokens=sum(request.n_tokens for request in requests), decisions=len(decisions)
        )
        self.unrecorded += lacking
        self._unmarked[run_id] = self._unmarked.get(run_id, Unrecorded()) + lacking

    def _mark_incomplete(self, unmarked: dict[str, Unrecorded]) -> None:
        """Durable before anything that was handed over later, and before the run ends. Empties `unmarked`."""
        for run_id, lacking in list(unmarked.items()):
            assert self._manifest is not None
            self._manifest.append("unrecorded", lacking.to_fields(run_id))
            del unmarked[run_id]

    def _write_batch(self, run: OpenRun, day: str, chunks: Sequence[Chunk]) -> None:
        """Three files and a manifest line. When it raises, none of them is left."""
        assert self._manifest is not None
        requests = [request for chunk in chunks for request in chunk.requests]
        decisions = decisions_together(chunks)
        batch = write_batch_files(
            self.store,
            run.record.run_id,
            f"{self._manifest.writer_id}-{self._next_batch:06d}",
            day,
            requests,
            decisions,
        )
        try:
            self._manifest.append("batch", batch.to_fields())
        except Exception:
            remove_batch_files(self.store, batch)
            raise
        self._next_batch += 1
        run.batches += 1
        run.requests += len(requests)
        run.tokens += batch.files["tokens"].rows
        run.decisions += len(decisions)

    def _end(self, run: OpenRun | None) -> None:
        """Everything of this run is durable, and so are its totals."""
        if run is None or self._manifest is None:
            return
        self.flush()
        totals = {name: getattr(run, name) for name in ("batches", "requests", "tokens", "decisions")}
        self._manifest.append("run_end", {"run_id": run.record.run_id, **totals})

    def _flush_in_time(self) -> None:
        """The thread: flushes when enough is waiting, or has waited long enough."""
        sweep_leftovers(self.store)
        while True:
            with self._buffer:
                while not (self._closed or self._is_due() or self._unmade >= AHEAD):
                    left = self._waiting_since + self.flush_seconds - time.monotonic()
                    self._buffer.wait(left if self._chunks else None)
                if self._closed:
                    return
                due = self._is_due()
            with suppress(LogError):  # kept in _failure, which append raises
                self.flush() if due else self._make_ahead()

    def _make_ahead(self) -> None:
        """Makes records of what is waiting, while the model computes."""
        with self._writing:
            with self._buffer:
                chunks, self._unmade = list(self._chunks), 0
            ready = made(chunks)
            with self._buffer:
                self._chunks[: len(chunks)] = ready

    def _is_due(self) -> bool:
        if not self._chunks:
            return False
        waited = time.monotonic() - self._waiting_since >= self.flush_seconds
        return waited or (self._waiting >= self.flush_decisions and self._failure is None)
