"""Tombstones: manifest lines that say what was lawfully removed from the store, and what takes its place.

A tombstone never edits the line that listed a file. It names the file (path, sha256, size, rows) and its replacement,
or that there is none, and counts for every reader from the moment it is durable: `Removals` follows each file of a
batch from replacement to replacement, in whatever order the manifests were read. Only then are the old files deleted,
so that a crash at any moment leaves either the old files or the new ones, never neither.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from moe_core.log.entries import ROLES, BatchEntry, FileEntry, Role
from moe_core.log.manifest import Entry
from moe_core.log.store import requests_path, tokens_path

Action = Literal["redact", "retain"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ErasedRequest:
    """A request whose personal data were erased. `escalated_from`: the request that it, in a companion run, repeats."""

    run_id: str
    request_id: str
    request_no: int
    escalated_from: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchChange:
    """What became of one batch: files removed, and files written in their place (none: the batch is dropped)."""

    batch_id: str
    run_id: str
    removed: Mapping[Role, FileEntry]
    written: Mapping[Role, FileEntry] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tombstone:
    """One line: who removed what, and why. `requests` and `columns` belong to a redaction, `day` to retention."""

    action: Action
    actor: str | None
    reason: str | None
    changes: tuple[BatchChange, ...]
    requests: tuple[ErasedRequest, ...] = ()
    columns: tuple[str, ...] = ()
    day: str | None = None

    def to_fields(self) -> dict[str, Any]:
        totals = {role: sum(change.removed[role].rows for change in self.changes if role in change.removed)
                  for role in ROLES}  # fmt: skip
        about: dict[str, Any] = (
            {"requests": [asdict(request) for request in self.requests], "columns": list(self.columns)}
            if self.action == "redact"
            else {"day": self.day, "totals": {"batches": len(self.changes), **totals}}
        )
        return {"action": self.action, "actor": self.actor, "reason": self.reason, **about,
                "batches": [asdict(change) for change in self.changes]}  # fmt: skip


def tombstone_from_entry(entry: Entry) -> Tombstone:
    """Raises ValueError, KeyError or TypeError where the line is no tombstone that its writer could have written."""
    fields = entry.fields
    action = fields["action"]
    if action not in ("redact", "retain"):
        raise ValueError(f"a tombstone of the unknown kind {action!r}")
    return Tombstone(
        action=action,
        actor=_text(fields["actor"]),
        reason=_text(fields["reason"]),
        changes=tuple(_change(change, entry.writer_id) for change in fields["batches"]),
        requests=tuple(ErasedRequest(**request) for request in fields.get("requests", ())),
        columns=tuple(str(column) for column in fields.get("columns", ())),
        day=_text(fields.get("day")),
    )


def rewrite_id(writer_id: str, number: int) -> str:
    """The name of rewritten files: whoever sweeps or looks for orphans finds their writer in it, as in a batch id."""
    return f"{writer_id}-r{number:06d}"


def is_rewrite(file_name: str) -> bool:
    return re.match(r"[\w-]+-r\d{6}\.", file_name) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """One removed file, what replaced it, and the tombstone that says so."""

    batch_id: str
    removed: FileEntry
    written: FileEntry | None
    tombstone: Tombstone


@dataclass(slots=True)
class Removals:
    """What all tombstones of a store say together. `moves` has one entry per removed file, by path."""

    tombstones: dict[tuple[str, int], Tombstone] = field(default_factory=dict)  # by (writer_id, seq)
    moves: dict[str, Move] = field(default_factory=dict)

    def add(self, entry: Entry) -> Tombstone | None:
        """Takes a line in; None if it is known. Raises ValueError, KeyError or TypeError where it makes no sense, and
        then takes in nothing of it."""
        key = entry.writer_id, entry.seq
        if key in self.tombstones:
            return None
        tombstone = tombstone_from_entry(entry)
        moves: dict[str, Move] = {}
        for change in tombstone.changes:
            for role, file in change.removed.items():
                if file.path in self.moves or file.path in moves:
                    raise ValueError(f"{file.path} was removed by a tombstone before")
                moves[file.path] = Move(
                    batch_id=change.batch_id, removed=file, written=change.written.get(role), tombstone=tombstone
                )
        self.moves |= moves
        self.tombstones[key] = tombstone
        return tombstone

    def named_files(self) -> set[str]:
        """Paths of all files that tombstones removed or wrote."""
        return self.moves.keys() | {move.written.path for move in self.moves.values() if move.written is not None}

    def current(self, batch: BatchEntry) -> BatchEntry | None:
        """The batch with the files that it has now; None if it was dropped. Raises ValueError where tombstones do not
        fit what was listed."""
        files = {role: self._last(batch, file) for role, file in batch.files.items()}
        kept = {role: file for role, file in files.items() if file is not None}
        if not kept:
            return None
        if len(kept) < len(files):
            raise ValueError(f"a tombstone drops only a part of batch {batch.batch_id}")
        return replace(batch, files=kept) if kept != batch.files else batch

    def _last(self, batch: BatchEntry, file: FileEntry) -> FileEntry | None:
        for _ in range(len(self.moves) + 1):
            move = self.moves.get(file.path)
            if move is None:
                return file
            if move.batch_id != batch.batch_id or move.removed != file:
                raise ValueError(f"a tombstone removes {file.path}, but not as it was listed for {batch.batch_id}")
            if move.written is None:
                return None
            file = move.written
        raise ValueError(f"tombstones replace the files of batch {batch.batch_id} in a circle")


def _change(fields: Mapping[str, Any], writer_id: str) -> BatchChange:
    run_id = str(fields["run_id"])
    removed, written = _files(fields["removed"]), _files(fields["written"])
    if written and (set(written) != set(removed) or "decisions" in written):
        raise ValueError("a tombstone rewrites other files than those that it removes")
    for role, file in written.items():
        number = re.search(r"-r(\d{6})\.\w+\.parquet$", file.path)
        path_of = requests_path if role == "requests" else tokens_path
        if number is None or file.path != path_of(run_id, rewrite_id(writer_id, int(number[1]))):
            raise ValueError(f"a tombstone lists {file.path!r}, which its writer cannot have written")
    return BatchChange(batch_id=str(fields["batch_id"]), run_id=run_id, removed=removed, written=written)


def _files(fields: Mapping[str, Any]) -> dict[Role, FileEntry]:
    files: dict[Role, FileEntry] = {}
    for role in ROLES:
        if role in fields:
            file = fields[role]
            files[role] = FileEntry(
                path=str(file["path"]), sha256=str(file["sha256"]), size=int(file["size"]), rows=int(file["rows"])
            )
    if len(files) != len(fields):
        raise ValueError(f"a tombstone names unknown kinds of files: {', '.join(sorted(fields))}")
    return files


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
