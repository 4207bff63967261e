"""Does the store still say what was recorded? Every chain, every file, every count, every Merkle root.

An error is a difference between what a manifest lists and what is there. A note is something that a crash explains:
a torn last line, a file that no manifest lists. A run is incomplete where its manifest says what was never recorded:
that is no difference, and no error. The index is a cache and not looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from moe_core.errors import ManifestError, SchemaVersionError, SegmentError, StoreNotFoundError
from moe_core.log import encoding, merkle, segments
from moe_core.log.catalog import Catalog, file_problem, read_catalog, were_removed_since
from moe_core.log.entries import ROLES, BatchEntry, is_import_batch, part_of
from moe_core.log.heads import noted_head
from moe_core.log.manifest import is_alive
from moe_core.log.published_heads import check_published, find_published, read_published
from moe_core.log.store import Store, open_store, run_folder
from moe_core.log.tombstone_report import finish, tombstone_problems
from moe_core.log.tombstones import is_rewrite
from moe_core.log.unrecorded import Unrecorded

_NOT_DATA = ("index.duckdb", "index.lock", "schema.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyReport:
    """`segments` and `decisions` count what was checked and found whole; errors and notes are sentences."""

    ok: bool
    segments: int
    decisions: int
    errors: tuple[str, ...]
    notes: tuple[str, ...]
    compared: int = 0  # published heads that were compared with
    incomplete: Mapping[str, Unrecorded] = field(default_factory=dict)  # by run: what was never recorded


def verify_store(
    store_dir: Path | str, against: Sequence[Path] = (), public_key: Ed25519PublicKey | None = None
) -> VerifyReport:
    """Checks everything; given files or folders of published heads, also that what they name is still there (given a
    public key, that its other half signed them). Raises only where there is nothing to check: StoreNotFoundError,
    SchemaVersionError, InputError for published heads that cannot be read."""
    published_paths = find_published(against)
    try:
        store = open_store(store_dir)
    except (StoreNotFoundError, SchemaVersionError):
        if (Path(store_dir) / "manifest").is_dir() and not (Path(store_dir) / "store.json").exists():
            return _report([f"store.json is missing in {store_dir}."], [], 0, 0)
        raise
    except Exception as error:
        return _report([str(error)], [], 0, 0)
    living = {path.stem for path in store.manifest_paths() if is_alive(path)}
    catalog = read_catalog(store)
    errors, notes = list(catalog.errors), _lagging(catalog)
    errors += _check_heads(store)
    n_segments = n_decisions = 0
    for batch in catalog.batches.values():
        problems = _check_batch(store, batch)
        errors += problems
        if not problems:
            n_segments += 1
            n_decisions += batch.files["decisions"].rows
    errors += _check_totals(catalog)
    errors += _check_unlisted(store, catalog, living, notes)
    if errors and were_removed_since(store, catalog):
        return verify_store(store_dir, against, public_key)
    errors += tombstone_problems(store, catalog, notes)
    errors += _check_against(store, catalog, published_paths, public_key)
    return replace(_report(errors, notes, n_segments, n_decisions, len(published_paths)), incomplete=catalog.unrecorded)


def _report(errors: list[str], notes: list[str], n_segments: int, n_decisions: int, compared: int = 0) -> VerifyReport:
    return VerifyReport(
        ok=not errors,
        segments=n_segments,
        decisions=n_decisions,
        errors=tuple(errors),
        notes=tuple(notes),
        compared=compared,
    )


def _lagging(catalog: Catalog) -> list[str]:
    """What a killed writer leaves at the end of its manifest."""
    notes = []
    for path, reading in catalog.readings.items():
        if reading.error is not None:
            continue
        if reading.torn_bytes:
            notes.append(f"manifest/{path.name} ends in a line that was cut off in writing; it never counted.")
        head, last = noted_head(path), len(reading.entries) - 1
        if isinstance(head, tuple) and head[0] < last:
            notes.append(f"manifest/{path.name} is {last - head[0]} lines ahead of its head: its writer was killed.")
    return notes


def _check_heads(store: Store) -> list[str]:
    """Each head has its manifest; that each manifest fits its head was checked when it was read."""
    return [
        f"manifest/{path.stem}.jsonl is missing, its head is there."
        for path in sorted(store.manifest_dir.glob("*.head"))
        if not path.with_suffix(".jsonl").exists()
    ]


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
                root = merkle.root_of([encoding.from_arrow(table)])
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


def _check_against(
    store: Store, catalog: Catalog, paths: Sequence[Path], public_key: Ed25519PublicKey | None
) -> list[str]:
    """What was published is still there."""
    errors = []
    for path in paths:
        try:
            errors += check_published(store, catalog, read_published(path, public_key))
        except ManifestError as error:
            errors.append(str(error))
    return errors


def _check_unlisted(store: Store, catalog: Catalog, living: set[str], notes: list[str]) -> list[str]:
    """Files that no manifest lists: notes where a crash explains them."""
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
        batch_id = path.name.split(".")[0]
        writer_id = batch_id.rpartition("-")[0]
        manifest = store.manifest_dir / f"{writer_id}.jsonl"
        if path.suffix == ".parquet" and not manifest.exists():
            errors.append(f"{name} was written by {writer_id}, whose manifest is missing.")
        elif path.suffix == ".parquet" and writer_id not in living and _is_beyond_a_crash(catalog, manifest, path):
            errors.append(f"{name} is in no manifest, and no crash leaves it: manifest/{manifest.name} was cut.")
        else:
            notes.append(f"{name} is in no manifest (an orphan); it does not count.")
    return errors


def _is_beyond_a_crash(catalog: Catalog, manifest: Path, path: Path) -> bool:
    """Whether the file of an unlisted batch cannot be of the one that its writer was writing when it was killed: that
    is the one after the last that it listed. Batches rewritten for a tombstone all come before its only line, those of
    an import and of a run in parts before the end of their run; and a part may have been written twice."""
    reading = catalog.readings.get(manifest)
    if reading is None or reading.error is not None:  # begun meanwhile; or it ends in an error, which is reported
        return False
    batch_id = path.name.split(".")[0]
    listed = [entry.fields.get("batch_id") for entry in reading.entries if entry.kind == "batch"]
    if is_rewrite(path.name) or batch_id in listed:
        return False
    part = part_of(batch_id)
    if part is not None and part in {part_of(str(each)) for each in listed}:
        return False
    if part is not None or is_import_batch(batch_id):
        ended = {run_folder(run_id) for run_id in catalog.run_ends}
        return not ended.isdisjoint(parent.name for parent in path.parents)
    return batch_id != f"{manifest.stem}-{len(listed):06d}"
