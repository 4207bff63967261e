"""The sink that stores: buffers what recorders hand over and makes it durable, batch by batch.

One flush = three files (tmp -> fsync -> rename -> fsync of the folder), then one line in the manifest, then fsync.
Only after that is a batch acknowledged. A killed process loses what it had not acknowledged and nothing else.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from moe_core.errors import LogError
from moe_core.log.batch_writer import BatchWriter
from moe_core.log.batches import sweep_leftovers
from moe_core.log.chunks import AnsweredChunk, Chunk, OpenRun, encode_chunks, made, refuse_known_ids, size_of
from moe_core.log.store import check_run_id, open_or_create_store
from moe_core.log.unrecorded import WHEN_FULL, Unrecorded, WhenFull
from moe_core.log.waiting import Waiting
from moe_core.records import AnsweredRequests, RequestRecord, RoutingBatch, RunRecord

AHEAD = 20_000  # decisions from which records are made before they are due
BUFFER_LIMIT = 8  # times flush_decisions: while the disk is full, memory must not fill as well


class SegmentSink:
    """A `RoutingSink` that writes into a store. Thread-safe; belongs to the process that made it.

    `append` copies and returns; a thread writes when `flush_decisions` are waiting or the oldest has waited
    `flush_seconds`. `flush` returns when everything handed over before is durable. A batch that cannot be written
    stays in memory and is tried again every `flush_seconds`; meanwhile `append` raises the LogError that says why.

    When the queue is full (`BUFFER_LIMIT` flushes wait), `append` waits; or, if `when_full` is "incomplete", it neither
    waits nor raises for the disk: what it cannot take over is counted in `unrecorded` and in the manifest. So is what
    `append_later` took over and cannot be stored; the next call raises the LogError that says why.
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
        self._batches = BatchWriter(self.store)
        self._writing = threading.RLock()  # held while files are written; taken before _buffer
        self._buffer = threading.Condition()  # guards what follows
        self._run: OpenRun | None = None
        self._waiting = Waiting()
        self._unmarked: dict[str, Unrecorded] = {}  # by run: what no line of the manifest tells yet
        self._failure: str | None = None  # why nothing can be written at present
        self._refusal: str | None = None  # why something was left out; told once
        self._closed = False
        self._thread: threading.Thread | None = None
        atexit.register(self.close)

    def begin_run(self, run: RunRecord) -> None:
        """What is appended from now on belongs to `run`; the run before it, if any, is ended.

        Raises LogError where the store has a run of that id from before or from another writer.
        """
        check_run_id(run.run_id)
        with self._writing:
            self._check_usable()
            before = self._run
            if before is not None and before.record.run_id == run.run_id:
                if before.record != run:
                    raise LogError(f"Run {run.run_id!r} has begun with other settings; give the new run another id.")
                return
            begun = self._batches.begin_run(run)
            with self._buffer:
                self._run = begun
            if self._thread is None:
                self._thread = threading.Thread(target=self._flush_in_time, name="routelens-log", daemon=True)
                self._thread.start()
            self._end(before)

    def append(self, requests: Sequence[RequestRecord], decisions: RoutingBatch) -> None:
        """Takes over requests and their decisions. When it raises LogError, it took nothing."""
        lacking = Unrecorded(
            requests=len(requests), tokens=sum(request.n_tokens for request in requests), decisions=len(decisions)
        )
        self._take(
            [request.request_id for request in requests], lacking,
            lambda run: encode_chunks(run, self.store, requests, decisions),
        )  # fmt: skip

    def append_later(self, answered: AnsweredRequests) -> None:
        """The same for requests that are made into records when they are written, or before in the background."""

        def chunks(run: OpenRun) -> list[AnsweredChunk]:
            refuse_known_ids(run, answered.request_ids)
            return [AnsweredChunk(run, run.next_request_no, answered)] if answered.request_ids else []

        self._take(answered.request_ids, size_of(answered), chunks)

    def _take(
        self, request_ids: Sequence[str], size: Unrecorded, encode: Callable[[OpenRun], Sequence[Chunk | AnsweredChunk]]
    ) -> None:
        with self._buffer:
            self._check_usable()
            self._tell_refusal()
            if self.when_full == "wait":
                while self._is_full() and self._failure is None and not self._closed:
                    self._buffer.wait(self.flush_seconds)
                self._check_usable()
                if self._failure is not None:
                    raise LogError(self._failure)
            if self._run is None:
                raise LogError("Nothing can be appended before begin_run.")
            if self._is_full():
                self._leave_out(self._run.record.run_id, size)
                return
            chunks = encode(self._run)
            self._run.next_request_no += len(request_ids)
            self._run.request_ids.update(request_ids)
            if not chunks:
                return
            is_first = not self._waiting
            self._waiting.add(chunks)
            if is_first or self._waiting.weight >= self.flush_decisions or self._waiting.unmade >= AHEAD:
                self._buffer.notify_all()

    def flush(self) -> None:
        """Everything appended before is durable when it returns. Raises LogError where that fails."""
        with self._writing:
            self._check_usable()
            self._flush()
            self._tell_refusal()

    def _flush(self) -> None:
        with self._buffer:
            taken = self._waiting.take()
        chunks: Sequence[Chunk | AnsweredChunk] = taken
        unmarked: dict[str, Unrecorded] = {}
        try:
            chunks = ready = self._made(taken)
            with self._buffer:
                unmarked, self._unmarked = self._unmarked, {}
            self._batches.mark_incomplete(unmarked)
            while ready:
                run, day = ready[0].run, ready[0].day
                self._batches.write_batch(run, day, [chunk for chunk in ready if chunk.run is run and chunk.day == day])
                chunks = ready = [chunk for chunk in ready if not (chunk.run is run and chunk.day == day)]
        except BaseException as error:
            reason = str(error) if isinstance(error, LogError) else f"Cannot write the log: {error!r}."
            with self._buffer:
                self._waiting.put_back(chunks)
                for run_id, lacking in unmarked.items():
                    self._unmarked[run_id] = self._unmarked.get(run_id, Unrecorded()) + lacking
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
            self._batches.close()
            atexit.unregister(self.close)
        self._tell_refusal()

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
        return self._waiting.weight >= BUFFER_LIMIT * self.flush_decisions

    def _leave_out(self, run_id: str, lacking: Unrecorded) -> None:
        if lacking.requests:
            self.unrecorded += lacking
            self._unmarked[run_id] = self._unmarked.get(run_id, Unrecorded()) + lacking

    def _tell_refusal(self) -> None:
        with self._buffer:
            refusal, self._refusal = self._refusal, None
        if refusal is not None:
            raise LogError(refusal)

    def _made(self, chunks: Sequence[Chunk | AnsweredChunk]) -> list[Chunk]:
        """All encoded, but for those that cannot be: they are left out, counted and told."""
        try:
            return made(chunks, self.store)
        except Exception:
            ready: list[Chunk] = []
            for chunk in chunks:
                try:
                    ready += made([chunk], self.store)
                except Exception as error:
                    assert isinstance(chunk, AnsweredChunk)
                    with self._buffer:
                        self._leave_out(chunk.run.record.run_id, size_of(chunk.answered))
                        reason = str(error) if isinstance(error, LogError) else f"Cannot record a request: {error!r}."
                        self._refusal = self._refusal or reason
            return ready

    def _end(self, run: OpenRun | None) -> None:
        """Everything of this run is durable, and so are its totals."""
        if run is not None:
            self._flush()
            self._batches.end_run(run)

    def _flush_in_time(self) -> None:
        """The thread: flushes when enough is waiting, or has waited long enough."""
        sweep_leftovers(self.store)
        while True:
            with self._buffer:
                while not (self._closed or self._is_due() or self._waiting.unmade >= AHEAD):
                    left = self._waiting.since + self.flush_seconds - time.monotonic()
                    self._buffer.wait(left if self._waiting else None)
                if self._closed:
                    return
                due = self._is_due()
            with suppress(LogError), self._writing:  # kept in _failure, which append raises
                self._flush() if due else self._make_ahead()

    def _make_ahead(self) -> None:
        """Makes records of what is waiting, while the model computes."""
        with self._buffer:
            chunks = self._waiting.taken_ahead()
        ready = self._made(chunks)
        with self._buffer:
            self._waiting.replace(len(chunks), ready)

    def _is_due(self) -> bool:
        if not self._waiting:
            return False
        waited = time.monotonic() - self._waiting.since >= self.flush_seconds
        return waited or (self._waiting.weight >= self.flush_decisions and self._failure is None)
