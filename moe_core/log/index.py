"""The index: its connections, its refreshes, and how it is made again.

Exactly one process owns `index.duckdb`: the dashboard, or `routelens index`. Everybody else uses a private index in
memory, built by the same code.
"""

import atexit
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import duckdb
import pandas as pd

from moe_core.errors import IndexLockedError, LogError, RequestNotFoundError, SegmentError
from moe_core.log.connections import connect, connect_in_memory
from moe_core.log.file_state import FileState
from moe_core.log.gate import ReadersGate
from moe_core.log.indexer import Indexer, Refreshed
from moe_core.log.ownership import note_tombstones, owned_by, take_ownership
from moe_core.log.segments import OUT_OF_SPACE
from moe_core.log.store import Store, open_store
from moe_core.log.views import index_sql

CHECK_FILES_EVERY = 20  # background refreshes

# What DuckDB raises where the database file is damaged, or a Parquet file is gone: the index is then made again.
# A wrong checksum of a block is a bare duckdb.Error.
_DAMAGE = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFiles:
    """The files that hold one request, and its number in them."""

    run_id: str
    request_no: int
    decisions: str
    tokens: str


class Index:
    """An index of one store, open in this process. Make it with `Index.open` or `Index.open_private`.

    `version` grows whenever a refresh found something new: use it in cache keys. `frame` answers one SELECT;
    for more, take a `cursor()`, keep it in one thread, and take a new one next time: a rebuild closes it.
    """

    def __init__(self, store: Store, ownership: int | None) -> None:
        """Not to be called directly. `ownership` is the descriptor that `take_ownership` gave; None: in memory."""
        self.store = store
        self.version = 0
        self.refresh_error: str | None = None
        self._ownership = ownership
        self._refreshing = threading.RLock()  # taken before the gate
        self._gate = ReadersGate()
        self._cursors: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()
        self._told_tombstones = -1
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._use(self._connect())

    @classmethod
    def open(cls, store: Store | Path | str) -> Self:
        """Opens index.duckdb as its owner, makes it again where it does not fit, and brings it up to date.

        Raises IndexLockedError if another process (or another Index of this one) owns it.
        """
        store = store if isinstance(store, Store) else open_store(store)
        return cls._open(store, take_ownership(store))

    @classmethod
    def open_private(cls, store: Store | Path | str) -> Self:
        """An index of one's own, in memory: for a process that finds index.duckdb owned by another."""
        return cls._open(store if isinstance(store, Store) else open_store(store), None)

    @classmethod
    def open_or_private(cls, store: Store | Path | str) -> Self:
        """`open`, or `open_private` where another process owns index.duckdb: the dashboard, say."""
        store = store if isinstance(store, Store) else open_store(store)
        try:
            return cls.open(store)
        except IndexLockedError:
            return cls.open_private(store)

    @classmethod
    def _open(cls, store: Store, ownership: int | None) -> Self:
        index = None
        try:
            index = cls(store, ownership)
            index._prepare()
            return index
        except BaseException as error:
            if index is not None:
                index.close()
            elif ownership is not None:
                os.close(ownership)
            if isinstance(error, duckdb.Error):
                raise _unreadable(store, error) from error
            raise

    @property
    def is_private(self) -> bool:
        return self._ownership is None

    @property
    def _fresh_path(self) -> Path:
        return self.store.index_path.with_suffix(".duckdb.new")

    def _tell_others(self) -> None:
        """Says in the lock file which tombstones are taken into account: who erased something may wait for that."""
        if self._ownership is not None and self._indexer.n_tombstones != self._told_tombstones:
            self._told_tombstones = self._indexer.n_tombstones
            note_tombstones(self._ownership, self._told_tombstones)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor for the calling thread, with `decisions` and `tokens` over the files that are listed now."""
        self._check_touched()
        with self._gate.reading():
            cursor = self._connection.cursor()
            self._cursors.add(cursor)
            self._indexer.create_row_views(cursor)
            return cursor

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """One SELECT with bound parameters -> a frame. Makes a damaged index again; raises LogError where that does
        not help."""
        try:
            return self._answer(sql, parameters)
        except duckdb.CatalogException:  # most likely it asks for `decisions` or `tokens`, which are made on demand
            self._check_touched()
        except duckdb.Error as error:
            if not _is_damage(error):
                raise _unreadable(self.store, error) from error
            self.rebuild()
        try:
            return self._answer(sql, parameters, with_rows=True)
        except duckdb.Error as error:
            raise _unreadable(self.store, error) from error

    def files_of(self, request_id: str, run_id: str | None = None) -> RequestFiles:
        """Where the decisions and tokens of a request lie, after a look whether those files are unchanged.

        Without `run_id`, the newest request of that id. Raises RequestNotFoundError or SegmentError.
        """
        found = self.frame(index_sql("find_request"), {"request_id": request_id, "run_id": run_id})
        if found.empty:
            raise RequestNotFoundError(f"The store {self.store.path} holds no request {request_id!r}.")
        paths = {role: self.store.path / path for role, path in zip(found["role"], found["path"], strict=True)}
        known = [FileState(row.size, row.mtime_ns, row.inode) for row in found.itertuples()]
        if [FileState.of(path) for path in paths.values()] != known:
            if problems := self.check_files():
                raise SegmentError(f"{problems[0]} Run `routelens verify`.")
            return self.files_of(request_id, run_id)  # a tombstone replaced them, or they were only touched
        return RequestFiles(
            run_id=str(found["run_id"][0]),
            request_no=int(found["request_no"][0]),
            decisions=str(paths["decisions"]),
            tokens=str(paths["tokens"]),
        )

    def refresh(self) -> bool:
        """Adds what the manifests list since the last time; True if there was anything new."""
        with self._refreshing:
            try:
                result = self._indexer.refresh()
            except duckdb.Error as error:
                if not _is_damage(error):
                    raise _unreadable(self.store, error) from error
                result = Refreshed(stale=True)
            if result.stale:
                self.rebuild()
                return True
            if result.changed:
                self.version += 1
            self._tell_others()
            return result.changed

    def rebuild(self) -> None:
        """Makes the index again from the store, as a fresh file: nothing of the old one is left in it.

        Queries go on with the old one until the new one is ready. Damage is looked for in every file.
        """
        with self._refreshing:
            _remove_database(self._fresh_path)
            fresh = _private_database() if self.is_private else connect(self._fresh_path)
            try:
                indexer = Indexer(self.store, fresh)
                indexer.create()
                indexer.refresh()
            except BaseException as error:
                fresh.close()
                if isinstance(error, duckdb.Error):
                    raise _unreadable(self.store, error) from error
                raise
            with self._gate.alone():
                self._close_connections()
                if not self.is_private:
                    fresh.close()
                    _remove_database(self.store.index_path)
                    os.replace(self._fresh_path, self.store.index_path)
                    fresh = self._connect()
                self._use(fresh)
                self._indexer.resume()
                self.version += 1
            self._tell_others()

    def check_files(self) -> list[str]:
        """Looks whether a file changed since it was verified; if so, makes the index again without it. A file that a
        tombstone replaced is no problem."""
        with self._refreshing:
            self.refresh()
            problems = self._indexer.changed_files()
            if problems:
                self.rebuild()
            return problems

    def start_background_refresh(self, interval: float = 0.5) -> None:
        """From now on a thread refreshes every `interval` seconds. `refresh_error` holds what last went wrong."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._refresh_forever, args=(interval,), name="routelens-index", daemon=True
            )
            self._thread.start()
            atexit.register(self.close)  # no thread may be inside DuckDB while Python shuts down

    def close(self) -> None:
        """Stops refreshing, closes the database and gives up ownership. Calling it again does nothing."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            atexit.unregister(self.close)
        with self._refreshing, self._gate.alone():
            if self._ownership is not None:
                with suppress(duckdb.Error):
                    self._indexer.finish()
            self._close_connections()
            if self._ownership is not None:
                os.close(self._ownership)
                self._ownership = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, sql: str, parameters: Mapping[str, Any] | None, *, with_rows: bool = False) -> pd.DataFrame:
        with self._gate.reading(), self._connection.cursor() as cursor:
            if with_rows:
                self._indexer.create_row_views(cursor)
            return cursor.execute(sql, dict(parameters or {})).df()

    def _check_touched(self) -> None:
        """Before rows are read from files: if one of them may have changed, it is compared again."""
        with self._gate.reading(), self._connection.cursor() as cursor:
            touched = self._indexer.touched_files(cursor)
        if touched:
            self.check_files()

    def _prepare(self) -> None:
        """Makes the database the up-to-date index of this store."""
        if not self.is_private:
            _remove_database(self._fresh_path)  # of an owner that was killed while it made the index again
        if self._indexer.is_new():
            self._indexer.create()
            self.refresh()
            return
        try:
            fits = self._indexer.resume()
        except duckdb.Error:
            fits = False
        if fits:
            self.refresh()
        else:
            self.rebuild()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if self.is_private:
            return _private_database()
        try:
            return connect(self.store.index_path)
        except duckdb.Error as error:
            if "Could not set lock" in str(error):
                raise owned_by(self.store, "a program that opened it directly") from None
            _remove_database(self.store.index_path)  # a cache that cannot be opened is made again
            return connect(self.store.index_path)

    def _use(self, connection: duckdb.DuckDBPyConnection) -> None:
        """From now on, cursors are made from this connection. It answers nothing itself, so any thread may ask it."""
        self._connection = connection
        cursor = connection.cursor()
        self._cursors.add(cursor)
        self._indexer = Indexer(self.store, cursor)

    def _close_connections(self) -> None:
        """All of them: while one is open, DuckDB would give the old file to whoever asks for its path."""
        for cursor in list(self._cursors):
            cursor.close()
        self._cursors.clear()
        self._connection.close()

    def _refresh_forever(self, interval: float) -> None:
        n = 0
        while not self._stop.wait(interval):
            n += 1
            try:
                self.refresh()
                if n % CHECK_FILES_EVERY == 0:
                    self.check_files()
                self.refresh_error = None
            except Exception as error:
                self.refresh_error = str(error) if isinstance(error, LogError) else f"Cannot refresh: {error!r}."


def _private_database() -> duckdb.DuckDBPyConnection:
    return connect_in_memory(Path(tempfile.gettempdir()) / f"routelens-{os.getpid()}")


def _is_damage(error: duckdb.Error) -> bool:
    return (isinstance(error, _DAMAGE) or type(error) is duckdb.Error) and not _is_out_of_space(error)


def _is_out_of_space(error: duckdb.Error) -> bool:
    return any(os.strerror(number) in str(error) for number in OUT_OF_SPACE)


def _unreadable(store: Store, error: duckdb.Error) -> LogError:
    reason = str(error).splitlines()[0]
    if _is_out_of_space(error):
        return LogError(f"The index of {store.path} cannot be written ({reason}); the log is intact, free some space.")
    return LogError(f"The index of {store.path} cannot answer ({reason}); make it again with `routelens index`.")


def _remove_database(path: Path) -> None:
    for name in (path, path.with_name(path.name + ".wal")):
        name.unlink(missing_ok=True)
    shutil.rmtree(path.with_name(path.name + ".tmp"), ignore_errors=True)  # what a killed owner had spilled to disk
