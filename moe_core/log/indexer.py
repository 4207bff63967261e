"""Brings an index up to date: reads on in the manifests, verifies what they list, adds it in transactions.

Works on any DuckDB connection whose tables are those of `sql/index/schema.sql`; who owns the database and when this
runs is the business of `index.py`. A batch with a damaged file is left out and listed in `problem_rows`.

A tombstone that concerns a batch which is in the database already makes the index stale: DuckDB keeps deleted bytes, so
nothing short of a fresh file erases what was in it.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from moe_core.log.catalog import file_problem
from moe_core.log.entries import ROLES, BatchEntry, FileEntry, run_fields, run_from_fields
from moe_core.log.file_state import FileState
from moe_core.log.index_rows import add_batches, without_zone
from moe_core.log.listed_rows import rows_listed
from moe_core.log.manifest import Entry, Position, Reading, read_manifest, start
from moe_core.log.store import Store
from moe_core.log.tombstones import Removals, Tombstone
from moe_core.log.unrecorded import Unrecorded
from moe_core.log.views import create_views, index_sql, run_values

INDEX_VERSION = 4
ENTRIES_PER_TRANSACTION = 64
COMPACT_ABOVE_ROWS = 100_000


@dataclass(slots=True)
class Refreshed:
    """`changed`: something new was added or found damaged. `stale`: what was read before is not there any more, or
    must not be."""

    changed: bool = False
    stale: bool = False


class Indexer:
    """Adds what is new in `store` to the database behind `connection`. Not thread-safe: one call at a time."""

    def __init__(self, store: Store, connection: duckdb.DuckDBPyConnection) -> None:
        self._store = store
        self._connection = connection
        self._positions: dict[str, Position] = {}
        self._batch_ids: set[str] = set()
        self._removals = Removals()
        self._rows_after_compaction = 0

    @property
    def n_tombstones(self) -> int:
        """How many tombstones the index takes into account."""
        return len(self._removals.tombstones)

    def is_new(self) -> bool:
        """Whether there is nothing in the database yet."""
        return not self._rows("SELECT table_name FROM duckdb_tables()")

    def create(self) -> None:
        """Makes an empty index."""
        self._connection.execute(index_sql("schema"))
        self._connection.executemany("INSERT INTO index_meta VALUES (?, ?)", list(self._meta().items()))

    def resume(self) -> bool:
        """Goes on with an index made before. False if it is of another store or version, does not agree with the
        manifests, or shows a file that changed: then it must be made again."""
        if dict(self._rows("SELECT key, value FROM index_meta")) != self._meta():
            return False
        for writer_id, offset, seq, prev in self._rows("FROM manifest_positions"):
            self._positions[writer_id] = Position(offset=offset, seq=seq, prev=prev)
        known = self._rows("SELECT batch_id FROM batch_rows UNION ALL SELECT batch_id FROM problem_rows")
        self._batch_ids = {batch_id for (batch_id,) in known if batch_id is not None}
        if not self._agrees() or self.changed_files():
            return False
        self._connection.execute("DROP VIEW IF EXISTS decisions; DROP VIEW IF EXISTS tokens")  # see `finish`
        return True

    def finish(self) -> None:
        """Leaves `decisions` and `tokens` in the database, for whoever opens the file when nobody owns it.

        While the index grows they would have to be made anew with every batch, for as long as there are files: whoever
        asks for them makes his own instead (`create_row_views`).
        """
        self.create_row_views(self._connection, temporary=False)

    def create_row_views(self, connection: duckdb.DuckDBPyConnection, *, temporary: bool = True) -> None:
        """Makes `decisions` and `tokens` over the files that the index shows at this moment."""
        listed: dict[str, list[Path]] = {"decisions": [], "requests": [], "tokens": []}
        for role, path in connection.execute("SELECT role, path FROM file_rows ORDER BY path").fetchall():
            listed[role].append(self._store.path / path)
        create_views(connection, listed["decisions"], listed["tokens"], temporary=temporary)

    def refresh(self) -> Refreshed:
        """Applies every new manifest line; if it finds the index stale, some of them or none."""
        result = Refreshed()
        readings = self._read_on()
        for reading in readings.values():
            if self._learn(reading.entries):
                return Refreshed(changed=True, stale=True)
        waiting: list[Entry] = []
        for path, reading in readings.items():
            waiting += reading.entries
            if reading.error is not None and self._note_problem(path.stem, None, f"manifest/{reading.error}."):
                result.changed = True
                result.stale |= path.stem in self._positions and not reading.entries
            while len(waiting) > ENTRIES_PER_TRANSACTION:
                self._apply_in_transaction(waiting[:ENTRIES_PER_TRANSACTION])
                del waiting[:ENTRIES_PER_TRANSACTION]
                result.changed = True
        if waiting:
            self._apply_in_transaction(waiting)
            result.changed = True
        if result.changed:
            self._compact()
        return result

    def changed_files(self) -> list[str]:
        """One sentence for each file that the index shows and that is not any more what was verified. A file that
        was only touched or copied is compared and its new state remembered."""
        problems = []
        for path, sha256, size in self.touched_files(self._connection):
            state = FileState.of(self._store.path / path)
            problem = file_problem(self._store, FileEntry(path=path, sha256=sha256, size=size, rows=0))
            if problem is not None:
                problems.append(problem)
            elif state is not None:
                self._connection.execute(
                    "UPDATE file_rows SET mtime_ns = ?, inode = ? WHERE path = ?", [state.mtime_ns, state.inode, path]
                )
        return problems

    def touched_files(self, connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, int]]:
        """(path, sha256, size) of the files whose size, time or inode is not that of the file that was verified."""
        rows = connection.execute("SELECT path, sha256, size, mtime_ns, inode FROM file_rows").fetchall()
        return [
            (path, sha256, size)
            for path, sha256, size, mtime_ns, inode in rows
            if FileState.of(self._store.path / path) != FileState(size, mtime_ns, inode)
        ]

    def _meta(self) -> dict[str, str]:
        return {"index_version": str(INDEX_VERSION), "store_sha256": self._store.sha256}

    def _read_on(self) -> dict[Path, Reading]:
        """What each manifest says beyond the place to which it was read; those that did not grow are left out."""
        readings = {}
        for path in self._store.manifest_paths():
            position = self._positions.get(path.stem) or start(self._store, path.stem)
            state = FileState.of(path)
            if state is None or state.size != position.offset:
                readings[path] = read_manifest(path, position)
        return readings

    def _learn(self, entries: Sequence[Entry]) -> bool:
        """Takes tombstones into account; True if one of them concerns a batch that was added before."""
        is_stale = False
        for entry in entries:
            if entry.kind == "tombstone":
                with suppress(ValueError, KeyError, TypeError):  # `_apply` says what is wrong with it
                    tombstone = self._removals.add(entry)
                    is_stale |= tombstone is not None and not self._batch_ids.isdisjoint(
                        change.batch_id for change in tombstone.changes
                    )
        return is_stale

    def _agrees(self) -> bool:
        """Whether the tables hold what the manifests list up to the place to which they were read; learns what
        tombstones say up to there."""
        offsets = {writer_id: position.offset for writer_id, position in self._positions.items()}
        listed, self._removals = rows_listed(self._store, offsets)
        (counted,) = self._rows(index_sql("count_rows"))
        return counted == (*listed.values(), listed["decisions"], listed["requests"], listed["requests"], 0, 0, 0, 0)

    def _apply_in_transaction(self, entries: list[Entry]) -> None:
        """All of these lines count, or none."""
        positions = {
            entry.writer_id: Position(offset=entry.end, seq=entry.seq + 1, prev=entry.hash) for entry in entries
        }
        self._connection.execute("BEGIN")
        try:
            added = self._apply(entries)
            self._connection.execute(
                "DELETE FROM manifest_positions WHERE writer_id IN (SELECT unnest(?))", [list(positions)]
            )
            self._connection.executemany(
                "INSERT INTO manifest_positions VALUES (?, ?, ?, ?)",
                [(writer_id, p.offset, p.seq, p.prev) for writer_id, p in positions.items()],
            )
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._positions |= positions
        self._batch_ids |= added

    def _apply(self, entries: list[Entry]) -> set[str]:
        """-> the ids of the batches among these lines, those left out included."""
        batches: dict[str, tuple[Entry, BatchEntry]] = {}
        left_out: set[str] = set()
        for entry in entries:
            try:
                match entry.kind:
                    case "run":
                        self._add_run(entry)
                    case "batch":
                        batch = BatchEntry.from_fields(entry.fields)
                        if batch.batch_id in self._batch_ids | left_out or batch.batch_id in batches:
                            continue  # a retry is harmless
                        left_out.add(batch.batch_id)
                        current = self._removals.current(batch)
                        if current is not None and self._is_whole(entry, current):
                            batches[batch.batch_id] = entry, current
                            left_out.remove(batch.batch_id)
                    case "unrecorded":
                        self._add_unrecorded(entry)
                    case "run_end":
                        self._add_run_end(entry)
                    case "event":
                        self._add_event(entry)
                    case "tombstone":
                        self._add_tombstone(entry)
            except (ValueError, KeyError, TypeError) as error:
                what = f"manifest/{entry.writer_id}.jsonl line {entry.seq + 1} cannot be understood: {error}."
                self._note_problem(entry.writer_id, None, what)
        if batches:
            add_batches(self._connection, self._store, list(batches.values()))
        return left_out | set(batches)

    def _is_whole(self, entry: Entry, batch: BatchEntry) -> bool:
        problems = [problem for role in ROLES if (problem := file_problem(self._store, batch.files[role])) is not None]
        if problems:
            self._note_problem(entry.writer_id, batch, " ".join(problems))
        return not problems

    def _add_run(self, entry: Entry) -> None:
        run = run_from_fields(entry.fields["run"])
        if self._rows("SELECT 1 FROM run_rows WHERE run_id = ?", [run.run_id]):
            raise ValueError(f"run {run.run_id!r} has begun before")
        values = [*run_values(run_fields(run)), entry.writer_id]
        self._connection.execute("INSERT INTO run_rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def _add_unrecorded(self, entry: Entry) -> None:
        lacking = Unrecorded.from_fields(entry.fields)
        self._connection.execute(
            "INSERT INTO unrecorded_rows VALUES (?, ?, ?, ?, ?)",
            [str(entry.fields["run_id"]), without_zone(entry.at), lacking.requests, lacking.tokens, lacking.decisions],
        )

    def _add_run_end(self, entry: Entry) -> None:
        fields = entry.fields
        totals = [int(fields[name]) for name in ("batches", "requests", "tokens", "decisions")]
        self._connection.execute(
            "INSERT INTO run_end_rows VALUES (?, ?, ?, ?, ?, ?)",
            [str(fields["run_id"]), without_zone(entry.at), *totals],
        )

    def _add_event(self, entry: Entry) -> None:
        fields = entry.fields
        values = [without_zone(entry.at), fields["actor"], fields["what"], _json(fields["from"]), _json(fields["to"])]
        self._connection.execute(
            "INSERT INTO event_rows VALUES (?, ?, ?, ?, ?, ?, ?)", [*values, entry.writer_id, entry.seq]
        )

    def _add_tombstone(self, entry: Entry) -> None:
        """Shows it among the events: who removed what, and why."""
        self._removals.add(entry)  # known already, unless something is wrong with it: then this says what
        tombstone: Tombstone = self._removals.tombstones[entry.writer_id, entry.seq]
        requests = [request.request_id for request in tombstone.requests]
        about = {"reason": tombstone.reason, "batches": len(tombstone.changes)}
        new = about | ({"requests": requests} if requests else {"day": tombstone.day})
        values = [without_zone(entry.at), tombstone.actor, tombstone.action, None, _json(new)]
        self._connection.execute(
            "INSERT INTO event_rows VALUES (?, ?, ?, ?, ?, ?, ?)", [*values, entry.writer_id, entry.seq]
        )

    def _note_problem(self, writer_id: str, batch: BatchEntry | None, what: str) -> bool:
        """Lists a problem, once; True if it is new."""
        if self._rows("SELECT 1 FROM problem_rows WHERE writer_id = ? AND what = ?", [writer_id, what]):
            return False
        about: list[Any] = [None, None, 0, 0, 0]
        if batch is not None:
            about = [batch.run_id, batch.batch_id, *(batch.files[role].rows for role in ROLES)]
        self._connection.execute(
            "INSERT INTO problem_rows VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [without_zone(datetime.now(UTC)), writer_id, *about, what],
        )
        return True

    def _compact(self) -> None:
        """Folds the rollups once they have grown to several times the size they had after the last folding."""
        if self._n_rollup_rows() <= COMPACT_ABOVE_ROWS + 3 * self._rows_after_compaction:
            return
        self._connection.execute("BEGIN")
        try:
            self._connection.execute(index_sql("compact"))
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        self._rows_after_compaction = self._n_rollup_rows()

    def _roll_back(self) -> None:
        with suppress(duckdb.TransactionException):  # a COMMIT that failed has ended it
            self._connection.execute("ROLLBACK")

    def _n_rollup_rows(self) -> int:
        ((n_rows,),) = self._rows(index_sql("count_sums"))
        return int(n_rows)

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows: a result that is not read to its end keeps its transaction open and DuckDB from checkpoints."""
        return self._connection.execute(sql, list(parameters)).fetchall()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
