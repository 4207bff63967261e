"""Deleting files that a tombstone removed, and leftovers of processes that were killed. One process at a time."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from moe_core.errors import LogError, SegmentError
from moe_core.log import segments
from moe_core.log.batches import sweep_leftovers
from moe_core.log.catalog import Catalog, file_problem
from moe_core.log.manifest import is_alive
from moe_core.log.store import Store
from moe_core.log.tombstones import is_rewrite


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Held while files are removed: two who rewrite the same batch at once would bring back what the other erased.
    Raises LogError where somebody else holds it."""
    descriptor = os.open(store.manifest_dir, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise LogError(
            f"Another process is redacting, retaining or migrating in {store.path}; run this again when it has ended."
        ) from None
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Orphan:
    """A Parquet file that no manifest lists. `batch` names the files that were written with it."""

    path: Path
    batch: str
    writer_id: str

    @property
    def is_rewrite(self) -> bool:
        """Written by a redaction that was killed: a copy of what is listed."""
        return is_rewrite(self.path.name)


def remove_superseded(store: Store, catalog: Catalog) -> int:
    """Deletes what tombstones removed and is still there -> how many files. Raises SegmentError, and deletes nothing,
    where a file that takes the place of another is damaged."""
    present = [path for path in catalog.removals.moves if (store.path / path).exists()]
    owners = {catalog.removals.moves[path].batch_id for path in present}
    for batch_id in sorted(owners & catalog.batches.keys()):
        for file in catalog.batches[batch_id].files.values():
            if (problem := file_problem(store, file)) is not None:
                raise SegmentError(
                    f"{problem} It takes the place of a file that a tombstone removed; restore it from a copy, then "
                    "run this again."
                )
    return remove(store.path / path for path in present)


def remove(paths: Iterable[Path]) -> int:
    """Deletes files for good -> how many there were. Raises LogError where that fails."""
    folders, n_removed = set(), 0
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LogError(
                f"Cannot delete {path}: {error.strerror}; check its permissions and run this again."
            ) from None
        folders.add(path.parent)
        n_removed += 1
    try:
        for folder in folders:
            segments.fsync_dir(folder)
    except OSError as error:
        raise LogError(segments.write_failure(folder, error)) from None
    return n_removed


def find_orphans(store: Store, catalog: Catalog) -> list[Orphan]:
    """Whole files of writers that do not run any more and whose manifests can be read to the end: such files never
    counted. While a writer lives, its file may be listed in the next moment; where a manifest is damaged, its files are
    what can be saved."""
    known = {file.path for file in catalog.files()} | catalog.removals.named_files()
    orphans = []
    for folder in ("segments", "requests"):
        for path in sorted((store.path / folder).rglob("*.parquet")):
            batch = path.name.split(".")[0]
            writer_id = batch.rsplit("-", 1)[0]
            manifest_path = store.manifest_dir / f"{writer_id}.jsonl"
            reading = catalog.readings.get(manifest_path)
            if path.relative_to(store.path).as_posix() in known or reading is None or reading.error is not None:
                continue
            if not is_alive(manifest_path):
                orphans.append(Orphan(path, batch, writer_id))
    return orphans


def sweep(store: Store, catalog: Catalog) -> int:
    """Deletes half-written files of dead writers, and rewritten files of killed redactions whose originals are whole
    -> how many. They hold texts, and nobody would look for them."""
    n_swept = sweep_leftovers(store)
    leftovers = [orphan.path for orphan in find_orphans(store, catalog) if orphan.is_rewrite]
    return n_swept + remove(path for path in leftovers if _original_is_whole(store, catalog, path))


def _original_is_whole(store: Store, catalog: Catalog, path: Path) -> bool:
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException):
        return True  # cut off: it cannot take anybody's place
    batch = catalog.batches.get(metadata.get(b"routelens.batch_id", b"").decode())
    return batch is None or all(file_problem(store, file) is None for file in batch.files.values())
