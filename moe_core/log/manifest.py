"""The manifest: a hash chain of JSON lines that says what counts. One writer, one process, one file.

A line is a JSON object that ends in `"hash": "<sha256 of the line up to there>"`; its `prev` is the `hash` of the
line before, and that of the first line is derived from store.json and the writer's id, so that a manifest cannot be
moved to another store or writer. An edited, lost or reordered line breaks the chain. What a chain cannot show, the
loss of its tail, the file `<writer>.head` shows as long as nobody changes both (`heads.py`). Against somebody who
does, only a head that was published elsewhere helps (`published_heads.py`).

A last line without a line end was cut off by a crash. It was never acknowledged and is not read.

Kinds: `run` (the RunRecord), `batch` (files that count), `unrecorded` (how much a full queue kept out of the log),
`run_end` (totals), `event` (who changed what), `tombstone` (files that were lawfully removed, and what takes their
place).
"""

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np

from moe_core.errors import LogError, ManifestError
from moe_core.log.heads import head_bytes, head_path, head_problem, noted_head
from moe_core.log.segments import fsync_dir, write_all, write_failure
from moe_core.log.store import Store

Kind = Literal["run", "batch", "unrecorded", "run_end", "event", "tombstone"]
KINDS: tuple[Kind, ...] = ("run", "batch", "unrecorded", "run_end", "event", "tombstone")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line. `fields` is what its kind carries; `end` is the offset in bytes just after the line."""

    writer_id: str
    seq: int
    kind: Kind
    at: datetime
    fields: Mapping[str, Any]
    hash: str
    end: int


@dataclass(kw_only=True, slots=True)
class Reading:
    """What was read of a manifest from a given place on: whole lines, and why they are not all or may not be."""

    entries: list[Entry] = field(default_factory=list)
    torn_bytes: int = 0  # length of a last line without line end
    error: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """A place between two lines: `seq` is the number of the next line, `prev` the hash before it."""

    offset: int
    seq: int
    prev: str


def start(store: Store, writer_id: str) -> Position:
    """Before the first line."""
    genesis = sha256(f"routelens manifest {store.born_version} {writer_id} {store.sha256}".encode()).hexdigest()
    return Position(offset=0, seq=0, prev=genesis)


def read_manifest(path: Path, position: Position) -> Reading:
    """Reads on from `position` and checks each line; a broken chain ends the reading with `error` set. Where the chain
    is whole but does not fit its head, `error` says so as well."""
    head = noted_head(path)
    reading = read_lines(path, position)
    if reading.error is None:
        hashes = [position.prev, *(entry.hash for entry in reading.entries)]
        reading.error = head_problem(path, head, position.seq, hashes)
    return reading


def read_lines(path: Path, position: Position) -> Reading:
    """`read_manifest` without a look at the head."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < position.offset:
                return Reading(error=f"{path.name} was cut: it has {size} bytes, {position.offset} were read before")
            file.seek(position.offset)
            data = file.read()
    except OSError as error:
        return Reading(error=f"{path.name} cannot be read: {error.strerror}")
    reading, seq, prev, end = Reading(), position.seq, position.prev, position.offset
    lines = data.split(b"\n")
    reading.torn_bytes = len(lines.pop())
    for line in lines:
        end += len(line) + 1
        try:
            entry = _parse(path.stem, line, seq, prev, end)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reading.error = f"{path.name} line {seq + 1} is not what its writer wrote: {error}"
            return reading
        reading.entries.append(entry)
        seq, prev = seq + 1, entry.hash
    return reading


def read_all(store: Store) -> Iterator[tuple[Path, Reading]]:
    """Every manifest of the store from its first line."""
    for path in store.manifest_paths():
        yield path, read_manifest(path, start(store, path.stem))


class ManifestWriter:
    """Appends lines to a manifest of its own; while it is open, a lock on the file tells that its writer lives."""

    def __init__(self, store: Store) -> None:
        self.writer_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{secrets.token_hex(4)}"
        self.path = store.manifest_dir / f"{self.writer_id}.jsonl"
        self._position = start(store, self.writer_id)
        self._file = self._head = -1
        try:
            self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX)  # free, but for the instant in which `is_alive` tries it
            self._head = os.open(head_path(self.path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            self._note_head(-1, self._position.prev)  # takes its space on the disk now
            fsync_dir(store.manifest_dir)
        except OSError as error:
            made = [path for path, descriptor in ((head_path(self.path), self._head), (self.path, self._file))
                    if descriptor >= 0]  # fmt: skip
            self.close()
            with suppress(OSError):
                for path in made:
                    path.unlink()
            raise ManifestError(write_failure(self.path, error)) from error

    def append(self, kind: Kind, fields: Mapping[str, Any]) -> Entry:
        """Durable when it returns. When it raises, the line is not in the manifest and may be tried again."""
        if self._file < 0 or os.fstat(self._file).st_size != self._position.offset:
            raise ManifestError(f"The manifest {self.path} cannot be written any more; start a new writer.")
        at = datetime.now(UTC)
        line = _render(self._position, kind, at, fields)
        try:
            write_all(self._file, line)
            os.fsync(self._file)
        except BaseException as error:
            self._take_back()
            if isinstance(error, OSError):
                raise ManifestError(write_failure(self.path, error)) from error
            raise
        seq, digest, end = self._position.seq, _hash_of(line), self._position.offset + len(line)
        self._position = Position(offset=end, seq=seq + 1, prev=digest)
        with suppress(OSError):  # the line is durable; a head that lags behind is no harm
            self._note_head(seq, digest)
        return Entry(writer_id=self.writer_id, seq=seq, kind=kind, at=at, fields=fields, hash=digest, end=end)

    def close(self) -> None:
        for descriptor in (self._file, self._head):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._head = -1

    def _take_back(self) -> None:
        """Cuts off what a failed append left. If even that fails, no line is appended any more: the size is wrong."""
        with suppress(OSError):
            os.ftruncate(self._file, self._position.offset)

    def _note_head(self, seq: int, digest: str) -> None:
        data = head_bytes(seq, digest)
        if os.pwrite(self._head, data, 0) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def is_alive(manifest_path: Path) -> bool:
    """Whether the writer of this manifest still runs."""
    try:
        descriptor = os.open(manifest_path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _render(position: Position, kind: Kind, at: datetime, fields: Mapping[str, Any]) -> bytes:
    content = {"seq": position.seq, "prev": position.prev, "kind": kind, "at": at.isoformat(), **fields}
    try:
        body = json.dumps(content, allow_nan=False, default=_plain)[:-1]
    except (TypeError, ValueError) as error:
        raise LogError(f"A {kind!r} line cannot be written as JSON ({error}); use plain texts and numbers.") from None
    return f'{body}, "hash": "{sha256(body.encode()).hexdigest()}"}}\n'.encode()


_HASH_LENGTH = len(f', "hash": "{"0" * 64}"}}')


def _hash_of(line: bytes) -> str:
    """The hash that a line with its line end carries."""
    return line[-67:-3].decode("ascii")


def _parse(writer_id: str, line: bytes, seq: int, prev: str, end: int) -> Entry:
    body, tail = line[:-_HASH_LENGTH], line[-_HASH_LENGTH:]
    digest = sha256(body).hexdigest()
    if tail != f', "hash": "{digest}"}}'.encode():
        raise ValueError("it does not match its own hash")
    content = json.loads(line)
    if content.pop("seq") != seq:
        raise ValueError(f"it is not number {seq} in its chain; a line was removed, added or moved")
    if content.pop("prev") != prev:
        raise ValueError("it does not continue the line before; a line, or store.json, was replaced")
    content.pop("hash")
    kind = content.pop("kind")
    if kind not in KINDS:
        raise ValueError(f"it is of an unknown kind {kind!r}")
    at = datetime.fromisoformat(content.pop("at"))
    return Entry(writer_id=writer_id, seq=seq, kind=kind, at=at, fields=content, hash=digest, end=end)


def _plain(value: object) -> object:
    """What JSON does not know but configurations hold: numpy numbers, paths, times."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Path | datetime):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
