"""What the manifests of a store list, read from the start: runs, batches, run ends, events, and what is wrong.

Tombstones are applied after everything was read: whatever the order of the manifests, a batch is shown with the files
that it has now, and not at all if it was dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from moe_core.log import segments
from moe_core.log.entries import BatchEntry, FileEntry, run_from_fields
from moe_core.log.manifest import Entry, Reading, read_all
from moe_core.log.store import Store
from moe_core.log.tombstones import Removals
from moe_core.log.unrecorded import Unrecorded
from moe_core.records import RunRecord


@dataclass(kw_only=True, slots=True)
class Catalog:
    """`batches` holds each batch that counts once, with the files that it has now; `listed` all of them as they were
    written, dropped ones included; `run_writers` the writer of each run; `unrecorded` what incomplete runs lack;
    `errors` one sentence each."""

    runs: dict[str, RunRecord] = field(default_factory=dict)
    run_writers: dict[str, str] = field(default_factory=dict)
    batches: dict[str, BatchEntry] = field(default_factory=dict)
    listed: dict[str, BatchEntry] = field(default_factory=dict)
    removals: Removals = field(default_factory=Removals)
    tombstone_entries: list[Entry] = field(default_factory=list)
    run_ends: dict[str, Entry] = field(default_factory=dict)
    unrecorded: dict[str, Unrecorded] = field(default_factory=dict)
    readings: dict[Path, Reading] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def files(self) -> Iterator[FileEntry]:
        for batch in self.batches.values():
            yield from batch.files.values()


def read_catalog(store: Store) -> Catalog:
    """Reads every manifest. A broken line ends the reading of its manifest and is an error; the rest counts."""
    catalog = Catalog()
    for path, reading in read_all(store):
        catalog.readings[path] = reading
        if reading.error is not None:
            catalog.errors.append(f"manifest/{reading.error}.")
        for entry in reading.entries:
            try:
                _add(catalog, entry)
            except (ValueError, KeyError, TypeError) as error:
                catalog.errors.append(f"manifest/{path.name} line {entry.seq + 1} cannot be understood: {error}.")
    _apply_tombstones(catalog)
    return catalog


def file_problem(store: Store, file: FileEntry) -> str | None:
    """What is wrong with a listed file, as one sentence; None if it is byte for byte what was written."""
    path = store.path / file.path
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"{file.path} has {size} bytes, its manifest says {file.size}."
        if segments.file_sha256(path) != file.sha256:
            return f"{file.path} is not what was written: its sha256 differs from its manifest."
    except FileNotFoundError:
        return f"{file.path} is missing."
    except OSError as error:
        return f"{file.path} cannot be read: {error.strerror}."
    return None


def were_removed_since(store: Store, catalog: Catalog) -> bool:
    """Whether a tombstone has come since the catalog was read: what is missing may have been lawfully removed."""
    return read_catalog(store).removals.tombstones.keys() != catalog.removals.tombstones.keys()


def _add(catalog: Catalog, entry: Entry) -> None:
    match entry.kind:
        case "run":
            run = run_from_fields(entry.fields["run"])
            if run.run_id in catalog.runs:
                raise ValueError(f"run {run.run_id!r} has begun before")
            catalog.runs[run.run_id] = run
            catalog.run_writers[run.run_id] = entry.writer_id
        case "batch":
            batch = BatchEntry.from_fields(entry.fields)
            if batch.batch_id in catalog.listed:
                raise ValueError(f"batch {batch.batch_id} was listed before")
            if catalog.run_writers.get(batch.run_id) != entry.writer_id:
                raise ValueError(f"batch {batch.batch_id} is of run {batch.run_id!r}, which this writer never began")
            catalog.listed[batch.batch_id] = batch
        case "unrecorded":
            run_id = str(entry.fields["run_id"])
            if catalog.run_writers.get(run_id) != entry.writer_id:
                raise ValueError(f"it counts what run {run_id!r} lacks, which this writer never began")
            lacking = Unrecorded.from_fields(entry.fields)
            catalog.unrecorded[run_id] = catalog.unrecorded.get(run_id, Unrecorded()) + lacking
        case "run_end":
            catalog.run_ends[str(entry.fields["run_id"])] = entry
        case "event":
            _ = entry.fields["actor"], entry.fields["what"], entry.fields["from"], entry.fields["to"]
        case "tombstone":
            catalog.removals.add(entry)
            catalog.tombstone_entries.append(entry)


def _apply_tombstones(catalog: Catalog) -> None:
    for batch_id, batch in catalog.listed.items():
        try:
            current = catalog.removals.current(batch)
        except ValueError as error:
            catalog.errors.append(f"Batch {batch_id} has tombstones that do not fit: {error}.")
            current = batch
        if current is not None:
            catalog.batches[batch_id] = current
    strangers = {move.batch_id for move in catalog.removals.moves.values()} - catalog.listed.keys()
    for batch_id in sorted(strangers):
        catalog.errors.append(f"A tombstone removes files of batch {batch_id}, which no manifest lists.")
