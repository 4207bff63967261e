"""What a writer puts into the store: the runs, batches and run ends of its manifest. Not thread-safe."""

from collections.abc import Sequence

from moe_core.log.batches import claim_run, remove_batch_files, write_batch_files
from moe_core.log.chunks import Chunk, OpenRun
from moe_core.log.entries import run_fields
from moe_core.log.manifest import ManifestWriter
from moe_core.log.store import Store
from moe_core.log.unrecorded import Unrecorded
from moe_core.records import RunRecord


class BatchWriter:
    """Writes into `store` under a manifest of its own, which is made with the first run."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._manifest: ManifestWriter | None = None
        self._next_batch = 0

    def begin_run(self, record: RunRecord) -> OpenRun:
        """Raises LogError where the store has a run of that id."""
        fields = run_fields(record)
        if self._manifest is None:
            self._manifest = ManifestWriter(self.store)
        claim_run(self.store, self._manifest, record.run_id, fields)
        return OpenRun(record)

    def mark_incomplete(self, unmarked: dict[str, Unrecorded]) -> None:
        """Durable before anything that was handed over later, and before the run ends. Empties `unmarked`."""
        for run_id, lacking in list(unmarked.items()):
            self._lines.append("unrecorded", lacking.to_fields(run_id))
            del unmarked[run_id]

    def write_batch(self, run: OpenRun, day: str, chunks: Sequence[Chunk]) -> None:
        """Three files and a manifest line. When it raises, none of them is left."""
        requests = [request for chunk in chunks for request in chunk.requests]
        decisions = [chunk.decisions for chunk in chunks if len(chunk.decisions)]
        batch_id = f"{self._lines.writer_id}-{self._next_batch:06d}"
        batch = write_batch_files(self.store, run.record.run_id, batch_id, day, requests, decisions)
        try:
            self._lines.append("batch", batch.to_fields())
        except Exception:
            remove_batch_files(self.store, batch)
            raise
        self._next_batch += 1
        run.batches += 1
        run.requests += len(requests)
        run.tokens += batch.files["tokens"].rows
        run.decisions += batch.files["decisions"].rows

    def end_run(self, run: OpenRun) -> None:
        """Everything of this run is durable, and so are its totals."""
        totals = {name: getattr(run, name) for name in ("batches", "requests", "tokens", "decisions")}
        self._lines.append("run_end", {"run_id": run.record.run_id, **totals})

    def close(self) -> None:
        if self._manifest is not None:
            self._manifest.close()

    @property
    def _lines(self) -> ManifestWriter:
        assert self._manifest is not None, "nothing is written before a run has begun"
        return self._manifest
