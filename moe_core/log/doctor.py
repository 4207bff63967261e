"""What a folder is, how it is, and what to do: `routelens doctor`. Looks, changes nothing."""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from moe_core.errors import LogError, SchemaVersionError, StoreNotFoundError
from moe_core.log.catalog import Catalog, read_catalog
from moe_core.log.disk_use import bytes_by_part
from moe_core.log.index_checkup import IndexCheckup, check_index
from moe_core.log.manifest import is_alive
from moe_core.log.migrations import recorded_steps
from moe_core.log.removal import find_orphans
from moe_core.log.store import SCHEMA_VERSION, Store, open_store
from moe_core.log.unrecorded import Unrecorded
from moe_core.log.verify import verify_store

SCARCE_SHARE, SCARCE_BYTES = 0.05, 5_000_000_000  # free space is scarce below both
Level = Literal["ok", "note", "attention"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One sentence about the store; `todo` says what to do about it, where something should be done."""

    level: Level
    what: str
    todo: str | None = None


@dataclass(kw_only=True, slots=True)
class Diagnosis:
    """`facts` is the same as data: schema_version, runs, writers, index, disk, tombstones, segments, decisions."""

    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        return not any(finding.level == "attention" for finding in self.findings)

    def say(self, level: Level, what: str, todo: str | None = None) -> None:
        self.findings.append(Finding(level=level, what=what, todo=todo))


def diagnose(store_dir: Path | str) -> Diagnosis:
    """Explains any folder; raises nothing that the folder could be the cause of."""
    path, found = Path(store_dir).resolve(), Diagnosis()
    try:
        store = open_store(path)
    except (LogError, OSError) as error:
        _explain_no_store(path, error, found)
        return found
    _describe(store, found)
    catalog = read_catalog(store)
    _check_runs(store, catalog, found)
    _check_content(store, catalog, found)
    _check_index(check_index(store, catalog), found)
    _check_disk(store, found)
    if found.healthy:
        found.say("ok", "Nothing needs attention.")
    return found


def _explain_no_store(path: Path, error: Exception, found: Diagnosis) -> None:
    """A folder that cannot be opened as a store, from the most ordinary case to the strangest."""
    record = f"record something (`routelens infer ... --store {path}`), or give the folder of a store with --store"
    looks_like_one = any((path / name).exists() for name in ("manifest", "segments", "requests"))
    if isinstance(error, StoreNotFoundError) and not path.exists():
        found.say("attention", f"{path} does not exist.", record)
    elif isinstance(error, StoreNotFoundError) and not path.is_dir():
        found.say("attention", f"{path} is a file, not a folder.", record)
    elif isinstance(error, StoreNotFoundError) and not any(path.iterdir()):
        found.say("attention", f"{path} is an empty folder: a store begins with its first run.", record)
    elif isinstance(error, StoreNotFoundError) and looks_like_one:
        todo = "restore store.json from a copy: the hash chains begin with it, so none can be made anew"
        found.say("attention", f"{path} is a store without its store.json.", todo)
    elif isinstance(error, StoreNotFoundError):
        names = ", ".join(sorted(p.name for p in path.iterdir())[:5])
        found.say("attention", f"{path} is no store; it holds other things ({names}).", record)
    elif isinstance(error, SchemaVersionError):
        found.say("attention", str(error), "do what this says; nothing was changed")
    else:
        found.say("attention", str(error), "nothing else can be checked before this is mended")
        if path.is_dir():
            found.facts["disk"] = bytes_by_part(path)


def _describe(store: Store, found: Diagnosis) -> None:
    found.facts |= {"store_id": store.store_id, "schema_version": store.schema_version}
    born = f"{store.created_at:%Y-%m-%d %H:%M} UTC"
    what = f"{store.path} is a RouteLens store, made on {born}, of schema version {store.schema_version}"
    found.say("ok", f"{what}; this RouteLens works with version {SCHEMA_VERSION}.")
    for step in recorded_steps(store):
        found.say("note", f"On {step.at[:10]} it was migrated from version {step.from_version} to {step.to_version}.")


def _check_runs(store: Store, catalog: Catalog, found: Diagnosis) -> None:
    """Each run, and whether its writer ended it, writes still, or died."""
    runs, n_alive = [], sum(is_alive(path) for path in catalog.readings)
    for run_id, run in catalog.runs.items():
        alive = is_alive(store.manifest_dir / f"{catalog.run_writers[run_id]}.jsonl")
        state = "ended" if run_id in catalog.run_ends else "recording" if alive else "cut off"
        batches = [batch for batch in catalog.batches.values() if batch.run_id == run_id]
        n_decisions = sum(batch.files["decisions"].rows for batch in batches)
        runs.append({"run_id": run_id, "model": run.model, "started_at": run.started_at.isoformat(), "state": state,
                     "batches": len(batches), "decisions": n_decisions,
                     "unrecorded": asdict(catalog.unrecorded.get(run_id, Unrecorded()))})  # fmt: skip
        if run_id in catalog.unrecorded:
            found.say("note", catalog.unrecorded[run_id].sentence(run_id))
        if state == "cut off":
            found.say(
                "note",
                f"Run {run_id!r} was never ended: its writer died. The {n_decisions:,} decisions that it acknowledged "
                "are there.",
            )
    count = {state: sum(run["state"] == state for run in runs) for state in ("ended", "recording", "cut off")}
    found.facts |= {"runs": runs, "writers": {"alive": n_alive, "gone": len(catalog.readings) - n_alive}}
    incomplete = f"; {len(catalog.unrecorded)} incomplete" if catalog.unrecorded else ""
    found.say("ok", f"Runs: {', '.join(f'{n} {state}' for state, n in count.items())}{incomplete}.")
    found.say("ok", f"Processes that have written here: {n_alive} alive, {len(catalog.readings) - n_alive} gone.")


def _check_content(store: Store, catalog: Catalog, found: Diagnosis) -> None:
    """Everything that `verify` checks, with what to do about it, and what may be swept."""
    report = verify_store(store.path)
    found.facts |= {"segments": report.segments, "decisions": report.decisions}
    found.facts["tombstones"] = len(catalog.removals.tombstones)
    found.say(
        "ok", f"{report.segments:,} segments with {report.decisions:,} decisions are byte for byte what was written."
    )
    for error in report.errors:
        todo = (
            "restore the file from a copy; until then its batch is left out of every number"
            if ".parquet" in error and "whose manifest" not in error
            else "compare with a copy or a published head: what follows is not covered by the chain"
        )
        found.say("attention", error, todo)
    for note in report.notes:
        unfinished = "is still there" in note
        found.say("attention" if unfinished else "note", note, "run the command named there" if unfinished else None)
    orphans = find_orphans(store, catalog)
    if orphans:
        size = sum(orphan.path.stat().st_size for orphan in orphans)
        found.say(
            "note",
            f"{len(orphans)} unlisted files of writers that were killed take {_size(size)}; they never counted.",
            "nothing: `routelens retain` removes them with their day, `routelens redact` if they hold the request",
        )
    half_written = [p for folder in ("segments", "requests") for p in (store.path / folder).rglob("*.tmp")]
    if half_written:
        found.say("note", f"{len(half_written)} half-written files; the next writer sweeps those of dead writers.")


def _check_index(index: IndexCheckup, found: Diagnosis) -> None:
    found.facts["index"] = asdict(index)
    match index.state:
        case "absent":
            found.say("ok", "There is no index yet; `routelens serve` or `routelens index` makes it.")
        case "owned":
            found.say("ok", f"The index is in use by {index.owner}, which keeps it up to date.")
        case "foreign":
            found.say(
                "attention", f"The index cannot be opened or is of another store: {index.reason}", "`routelens index`"
            )
        case _ if index.missing_tombstones:
            what = f"The index still holds what {index.missing_tombstones} tombstones erased."
            found.say("attention", what, "`routelens index` makes it again as a fresh file")
        case _ if index.missing_batches:
            found.say(
                "note", f"The index lacks {index.missing_batches:,} batches.", "`routelens index`, or just open it"
            )
        case _:
            found.say("ok", "The index has every batch.")


def _check_disk(store: Store, found: Diagnosis) -> None:
    parts = bytes_by_part(store.path)
    usage = shutil.disk_usage(store.path)
    found.facts["disk"] = {**parts, "free": usage.free, "total": usage.total}
    listed = ", ".join(f"{name} {_size(size)}" for name, size in parts.items())
    full = 1 - usage.free / usage.total
    what = (
        f"It takes {_size(sum(parts.values()))} ({listed}); the disk is {full:.0%} full, {_size(usage.free)} are free."
    )
    if usage.free < SCARCE_SHARE * usage.total and usage.free < SCARCE_BYTES:
        found.say("attention", what, "free some space, or drop old days with `routelens retain --days N`")
    else:
        found.say("ok", what)


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"
