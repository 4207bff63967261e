"""Runs whose batches other processes write: they make the files durable, the owner of the runs lists them.

So one manifest, with one lock and one chain, speaks for a run, however many processes take part. A part that is
written twice, because its first attempt was lost, counts once: only what is listed counts.
"""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from moe_core.errors import LogError
from moe_core.log.batches import claim_run
from moe_core.log.catalog import file_problem
from moe_core.log.entries import ROLES, BatchEntry, part_of, run_fields
from moe_core.log.manifest import ManifestWriter
from moe_core.log.store import check_run_id, open_or_create_store, run_folder
from moe_core.records import RunRecord


class GatheredRuns:
    """The owner's side; `PartSink` is the other. Use it as a context manager: without an error the runs are ended; with
    one they stay without an end, as after a crash, and what was listed counts."""

    def __init__(self, store_dir: Path | str) -> None:
        self.store = open_or_create_store(store_dir)
        self._manifest = ManifestWriter(self.store)
        self._totals: dict[str, Counter[str]] = {}  # by run
        self._listed: set[str] = set()

    @property
    def writer_id(self) -> str:
        """For the `PartSink` of every part."""
        return self._manifest.writer_id

    def begin(self, run: RunRecord) -> None:
        """A run that has begun here is left as it is. Raises LogError where the store has one of that id from
        elsewhere."""
        if run.run_id not in self._totals:
            check_run_id(run.run_id)
            claim_run(self.store, self._manifest, run.run_id, run_fields(run))
            self._totals[run.run_id] = Counter()

    def add(self, batch: BatchEntry) -> None:
        """Acknowledges a batch. Raises LogError where its files are not in the store as this process sees it."""
        part, totals = part_of(batch.batch_id) or "", self._totals.get(batch.run_id)
        if totals is None or not part.startswith(f"{self.writer_id}-w"):
            raise LogError(f"Batch {batch.batch_id} of run {batch.run_id!r} is no part of a run that was begun here.")
        for file in batch.files.values():
            if (problem := file_problem(self.store, file)) is not None:
                raise LogError(
                    f"{problem} Another process wrote it: all machines must see the same folder {self.store.path}."
                )
        self._manifest.append("batch", batch.to_fields())
        self._listed.add(batch.batch_id)
        totals["batches"] += 1
        for role in ROLES:
            totals[role] += batch.files[role].rows

    def end(self) -> None:
        """Once no part is written any more: removes what failed attempts left, and writes the totals of each run."""
        for run_id, totals in self._totals.items():
            for top in ("segments", "requests"):
                for path in (self.store.path / top / run_folder(run_id)).rglob(f"{self.writer_id}-w*"):
                    if path.name.split(".")[0] not in self._listed:
                        with suppress(OSError):
                            path.unlink()
            self._manifest.append("run_end", {"run_id": run_id, **{name: totals[name] for name in ("batches", *ROLES)}})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.end()
        finally:
            self._manifest.close()
