"""Writes checked runs into the store so that they count whole: all files first, then the lines that list them.

Killed before its first line, an import leaves files that nothing lists; they never count, and the next import removes
them. Killed between two lines, it leaves a run without `run_end`, which every view shows as not ended.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from moe_core.errors import LogError
from moe_core.log.batches import claim_run, remove_batch_files, sweep_leftovers
from moe_core.log.catalog import read_catalog
from moe_core.log.entries import ROLES, BatchEntry, import_batch_id, run_fields
from moe_core.log.heads import read_head
from moe_core.log.manifest import ManifestWriter, is_alive
from moe_core.log.store import Store, run_folder
from moe_core.records import RunRecord

_NEVER_WROTE = -1  # as a head says it


@dataclass(frozen=True, eq=False, slots=True)
class CheckedRun:
    """A run, and what writes its batches: each takes a batch id and returns the entry of files that are durable."""

    record: RunRecord
    batches: Sequence[Callable[[str], BatchEntry]]


def check_runs_are_new(store: Store, run_ids: Sequence[str]) -> None:
    """Raises LogError where the store has one of these runs, and says whether that one is whole."""
    catalog = read_catalog(store)
    for run_id in run_ids:
        if run_id not in catalog.runs:
            continue
        state = "which is whole"
        if run_id not in catalog.run_ends:
            is_open = is_alive(store.manifest_dir / f"{catalog.run_writers[run_id]}.jsonl")
            state = "which is being written now" if is_open else "which never ended, so it is not whole"
        raise LogError(
            f"The store {store.path} has a run {run_id!r} already, {state}; nothing was imported: give the run another "
            "run_id in runs.json and in the Parquet files."
        )


def store_runs(store: Store, runs: Sequence[CheckedRun], check_sources: Callable[[], None]) -> None:
    """Durable when it returns. `check_sources` raises if the files are not those that were checked any more. When this
    raises, only what the manifest lists is left, and a run whose lines could not all be written has no end."""
    sweep_leftovers(store)
    sweep_unlisted(store)
    manifest = ManifestWriter(store)
    unlisted: list[list[BatchEntry]] = [[] for _ in runs]
    begun = None
    n_batches = 0
    try:
        for run, batches in zip(runs, unlisted, strict=True):
            for write in run.batches:
                batches.append(write(import_batch_id(manifest.writer_id, n_batches)))
                n_batches += 1
        check_sources()
        for run, batches in zip(runs, unlisted, strict=True):
            totals = {"batches": len(batches)} | {role: sum(b.files[role].rows for b in batches) for role in ROLES}
            claim_run(store, manifest, run.record.run_id, run_fields(run.record))
            begun = run.record.run_id
            while batches:
                manifest.append("batch", batches[0].to_fields())
                del batches[0]
            manifest.append("run_end", {"run_id": run.record.run_id, **totals})
            begun = None
    except BaseException as error:
        for run, batches in zip(runs, unlisted, strict=True):
            for batch in batches:
                remove_batch_files(store, batch)
            for top in ("segments", "requests"):
                folder = store.path / top / run_folder(run.record.run_id)
                _remove_if_empty(*folder.glob("day=*"), folder)
        if begun is not None and isinstance(error, LogError):
            raise LogError(
                f"{error} Run {begun!r} was begun and has no end: import it under another run_id."
            ) from error
        raise
    finally:
        manifest.close()


def sweep_unlisted(store: Store) -> int:
    """Removes the files of writers that do not run any more and never listed anything. Returns how many.

    Such files never counted, and nothing can be lost with them: the head says that there was no line to lose.
    """
    dead = set()
    for path in store.manifest_paths():
        with suppress(OSError, ValueError):
            if path.stat().st_size == 0 and read_head(path)[0] == _NEVER_WROTE and not is_alive(path):
                dead.add(path.stem)
    swept = 0
    for folder in ("segments", "requests") if dead else ():
        for path in list((store.path / folder).rglob("*.parquet")):
            if path.name.split(".")[0].rsplit("-", 1)[0] in dead:
                with suppress(OSError):
                    path.unlink()
                    swept += 1
                    _remove_if_empty(path.parent, path.parent.parent)
    return swept


def _remove_if_empty(*folders: Path) -> None:
    for folder in folders:
        if folder.name.startswith(("day=", "run=")):
            with suppress(OSError):  # not empty, or not there
                folder.rmdir()
