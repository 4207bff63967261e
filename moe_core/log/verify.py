"""Does the store still say what was recorded? Every chain, every file, every count, every Merkle root.

An error is a difference between what a manifest lists and what is there. A note is something that a crash explains:
a torn last line, a file that no manifest lists. The index is a cache and not looked at.
"""

from dataclasses import dataclass
from pathlib import Path

from moe_core.errors import SchemaVersionError, SegmentError, StoreNotFoundError
from moe_core.log import encoding, merkle, segments
from moe_core.log.catalog import Catalog, file_problem, read_catalog, were_removed_since
from moe_core.log.entries import ROLES, BatchEntry
from moe_core.log.manifest import head_path, read_head
from moe_core.log.store import Store, open_store
from moe_core.log.tombstone_report import finish, tombstone_problems

_NOT_DATA = ("index.duckdb", "index.lock", "schema.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyReport:
    """`segments` and `decisions` count what was checked and found whole; errors and notes are sentences."""

    ok: bool
    segments: int
    decisions: int
    errors: tuple[str, ...]
    notes: tuple[str, ...]


def verify_store(store_dir: Path | str) -> VerifyReport:
    """Checks everything. Raises only where there is nothing to check: StoreNotFoundError, SchemaVersionError."""
    try:
        store = open_store(store_dir)
    except (StoreNotFoundError, SchemaVersionError):
        if (Path(store_dir) / "manifest").is_dir() and not (Path(store_dir) / "store.json").exists():
            return _report([f"store.json is missing in {store_dir}."], [], 0, 0)
        raise
    except Exception as error:
        return _report([str(error)], [], 0, 0)
    heads, notes = _read_heads(store)
    catalog = read_catalog(store)
    errors = list(catalog.errors)
    errors += _check_heads(store, catalog, heads, notes)
    n_segments = n_decisions = 0
    for batch in catalog.batches.values():
        problems = _check_batch(store, batch)
        errors += problems
        if not problems:
            n_segments += 1
            n_decisions += batch.files["decisions"].rows
    errors += _check_totals(catalog)
    errors += _check_unlisted(store, catalog, notes)
    if errors and were_removed_since(store, catalog):
        return verify_store(store_dir)
    errors += tombstone_problems(store, catalog, notes)
    return _report(errors, notes, n_segments, n_decisions)


def _report(errors: list[str], notes: list[str], n_segments: int, n_decisions: int) -> VerifyReport:
    return VerifyReport(
        ok=not errors, segments=n_segments, decisions=n_decisions, errors=tuple(errors), notes=tuple(notes)
    )


def _read_heads(store: Store) -> tuple[dict[str, tuple[int, str] | str], list[str]]:
    """The heads, read before the manifests: a writer that goes on meanwhile is then ahead of them, not behind."""
    heads: dict[str, tuple[int, str] | str] = {}
    for path in sorted(store.manifest_dir.glob("*.head")):
        try:
            heads[path.stem] = read_head(path.with_suffix(".jsonl"))
        except (OSError, ValueError) as error:
            heads[path.stem] = f"manifest/{path.name} is damaged: {error}."
    return heads, []


def _check_heads(
    store: Store, catalog: Catalog, heads: dict[str, tuple[int, str] | str], notes: list[str]
) -> list[str]:
    """Each manifest reaches at least as far as its head says, and each head has its manifest."""
    errors = []
    for path, reading in catalog.readings.items():
        head, n_lines = heads.pop(path.stem, None), len(reading.entries)
        if reading.torn_bytes and reading.error is None:
            notes.append(f"manifest/{path.name} ends in a line that was cut off in writing; it never counted.")
        if head is None:
            if n_lines > 1 and not head_path(path).exists():
                errors.append(f"manifest/{head_path(path).name} is missing.")
        elif isinstance(head, str):
            if n_lines or head_path(path).stat().st_size:  # else its writer was killed while it made the two files
                errors.append(head)
        elif reading.error is None:
            seq, digest = head
            if seq >= n_lines:
                errors.append(f"manifest/{path.name} has {n_lines} lines, its head says {seq + 1}: its end is missing.")
            elif seq >= 0 and reading.entries[seq].hash != digest:
                errors.append(f"manifest/{path.name} line {seq + 1} is not the one that its head names.")
            elif seq < n_lines - 1:
                notes.append(
                    f"manifest/{path.name} is {n_lines - 1 - seq} lines ahead of its head: its writer was killed."
                )
    errors += [f"manifest/{writer_id}.jsonl is missing, its head is there." for writer_id in sorted(heads)]
    return errors


def _check_batch(store: Store, batch: BatchEntry) -> list[str]:
    """Bytes first; what they say only where they are right."""
    problems = [problem for role in ROLES if (problem := file_problem(store, batch.files[role])) is not None]
    if problems:
        return problems
    try:
        for role in ROLES:
            file = batch.files[role]
            table = segments.read_parquet(store.path / file.path)
            if table.num_rows != file.rows:
                problems.append(f"{file.path} has {table.num_rows} rows, its manifest says {file.rows}.")
            elif role == "decisions":
                root = merkle.merkle_root(merkle.leaf_hashes(encoding.from_arrow(table)))
                if root != batch.merkle_root:
                    problems.append(f"{file.path} does not have the Merkle root that its manifest says.")
    except SegmentError as error:
        problems.append(str(error))
    return problems


def _check_totals(catalog: Catalog) -> list[str]:
    """A run that ended has as many batches and rows as its last line says."""
    errors = []
    for run_id, end in catalog.run_ends.items():
        batches = [batch for batch in catalog.listed.values() if batch.run_id == run_id]
        listed = {"batches": len(batches)} | {role: sum(batch.files[role].rows for batch in batches) for role in ROLES}
        for name, count in listed.items():
            if end.fields.get(name) != count:
                errors.append(f"Run {run_id!r} ended with {end.fields.get(name)} {name}, its manifest lists {count}.")
    return errors


def _check_unlisted(store: Store, catalog: Catalog, notes: list[str]) -> list[str]:
    """Files that no manifest lists: notes, unless their writer has no manifest at all."""
    listed = {file.path for file in catalog.files()}
    errors = []
    for path in sorted(store.path.rglob("*")):
        name = path.relative_to(store.path).as_posix()
        if path.is_dir() or name in listed or name == "store.json" or name.startswith(_NOT_DATA):
            continue
        if path.parent == store.manifest_dir and path.suffix in (".jsonl", ".head"):
            continue
        if name in catalog.removals.moves:
            notes.append(f"{name} was removed by a tombstone but is still there: {finish(catalog, name)}.")
            continue
        writer_id = path.name.split(".")[0].rsplit("-", 1)[0]
        if path.suffix == ".parquet" and not (store.manifest_dir / f"{writer_id}.jsonl").exists():
            errors.append(f"{name} was written by {writer_id}, whose manifest is missing.")
        else:
            notes.append(f"{name} is in no manifest (an orphan); it does not count.")
    return errors
