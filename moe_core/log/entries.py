"""What manifest lines say, as typed records: batches, runs, run ends, events."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from moe_core.errors import LogError
from moe_core.log.store import decisions_path, requests_path, tokens_path
from moe_core.records import RunRecord

Role = Literal["decisions", "requests", "tokens"]
ROLES: tuple[Role, ...] = ("decisions", "requests", "tokens")


def import_batch_id(writer_id: str, number: int) -> str:
    """The id of a batch of an import, which makes all its batches durable before it lists the first of them."""
    return f"{writer_id}-i{number:06d}"


def is_import_batch(batch_id: str) -> bool:
    return re.fullmatch(r"[\w-]+-i\d{6}", batch_id) is not None


def part_batch_id(writer_id: str, first_request_no: int, attempt: str) -> str:
    """The id of a batch that another process writes for the one that will list it. `attempt`: eight hexadecimal digits,
    since a part that failed is written once more."""
    return f"{writer_id}-w{first_request_no:010d}{attempt}"


def part_of(batch_id: str) -> str | None:
    """What all attempts at such a batch have in common; None for other batches."""
    return batch_id[:-8] if re.fullmatch(r"[\w-]+-w\d{10}[0-9a-f]{8}", batch_id) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FileEntry:
    """One file of a batch: where it is (relative to the store), and what it must be."""

    path: str
    sha256: str
    size: int
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchEntry:
    """Three files that were written together. Its requests are numbered `first_request_no` and up within the run."""

    batch_id: str
    run_id: str
    day: str  # of the requests, not of the writing: retention drops whole days
    first_request_no: int
    files: Mapping[Role, FileEntry]
    merkle_root: str

    def to_fields(self) -> dict[str, Any]:
        return {
            "batch_id": self.batch_id,
            "run_id": self.run_id,
            "day": self.day,
            "first_request_no": self.first_request_no,
            **{role: self.files[role].rows for role in ROLES},
            "files": {
                role: {"path": file.path, "sha256": file.sha256, "size": file.size} for role, file in self.files.items()
            },
            "merkle_root": self.merkle_root,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "BatchEntry":
        """Raises ValueError, KeyError or TypeError where the line does not describe a batch of this store."""
        run_id, day, batch_id = str(fields["run_id"]), str(fields["day"]), str(fields["batch_id"])
        if date.fromisoformat(day).isoformat() != day or not re.fullmatch(r"[\w-]+", batch_id):
            raise ValueError(f"{batch_id!r} of {day!r} cannot be a batch")
        expected = {
            "decisions": decisions_path(run_id, day, batch_id),
            "requests": requests_path(run_id, batch_id),
            "tokens": tokens_path(run_id, batch_id),
        }
        files: dict[Role, FileEntry] = {}
        for role in ROLES:
            file = fields["files"][role]
            if file["path"] != expected[role]:
                raise ValueError(f"batch {batch_id} lists {file['path']!r} where {expected[role]!r} belongs")
            files[role] = FileEntry(
                path=file["path"], sha256=str(file["sha256"]), size=int(file["size"]), rows=int(fields[role])
            )
        return cls(
            batch_id=batch_id,
            run_id=run_id,
            day=day,
            first_request_no=int(fields["first_request_no"]),
            files=files,
            merkle_root=str(fields["merkle_root"]),
        )


def run_fields(run: RunRecord) -> dict[str, Any]:
    """The fields of a `run` line. Raises LogError where the record cannot be stored."""
    if run.started_at.tzinfo is None:
        raise LogError(f"Run {run.run_id!r} has a started_at without a time zone; use datetime.now(UTC).")
    if run.n_layers < 1 or run.n_experts < 1:
        raise LogError(f"Run {run.run_id!r} has {run.n_layers} layers and {run.n_experts} experts; give at least 1.")
    return {**asdict(run), "started_at": run.started_at.astimezone(UTC).isoformat()}


def run_from_fields(fields: Mapping[str, Any]) -> RunRecord:
    """The inverse of `run_fields`."""
    return RunRecord(**{**fields, "started_at": datetime.fromisoformat(fields["started_at"])})
