"""What a question may read: the batches that manifests list and whose files are byte for byte what was written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from moe_core.log.catalog import file_problem, read_catalog, were_removed_since
from moe_core.log.entries import ROLES, BatchEntry, FileEntry, Role
from moe_core.log.file_state import FileState
from moe_core.log.store import Store
from moe_core.records import RunRecord

Problems = Mapping[str, str]  # path of a file -> what is wrong with it, as one sentence
FindProblems = Callable[[Store, list[FileEntry]], Problems]


class _Seen(NamedTuple):
    path: Path
    sha256: str
    state: FileState


_verified: dict[_Seen, None] = {}  # files whose sha256 this process has compared


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """`left_out` has one sentence for each damaged file or manifest that is not in `batches`."""

    runs: list[RunRecord]
    batches: list[BatchEntry]
    left_out: list[str]

    def files(self, role: Role) -> list[FileEntry]:
        return [batch.files[role] for batch in self.batches]

    def rows(self, role: Role) -> int:
        """How many rows the manifests list."""
        return sum(file.rows for file in self.files(role))


def problems_on_disk(store: Store, files: list[FileEntry]) -> Problems:
    """As `file_problem`, but a file that did not change since the last look is not read again."""
    found = {}
    for file in files:
        state = FileState.of(store.path / file.path)
        seen = None if state is None else _Seen(store.path / file.path, file.sha256, state)
        if seen in _verified:
            continue
        problem = file_problem(store, file)
        if problem is not None:
            found[file.path] = problem
        elif seen is not None:
            _verified[seen] = None
    return found


def verified_batches(store: Store, find_problems: FindProblems = problems_on_disk) -> Verified:
    """A batch of which one file is wrong is left out whole."""
    catalog = read_catalog(store)
    problems = find_problems(store, list(catalog.files()))
    left_out, batches = list(catalog.errors), []
    for batch in catalog.batches.values():
        wrong = [problems[batch.files[role].path] for role in ROLES if batch.files[role].path in problems]
        left_out += wrong
        if not wrong:
            batches.append(batch)
    if left_out and were_removed_since(store, catalog):
        return verified_batches(store, find_problems)
    return Verified(runs=list(catalog.runs.values()), batches=batches, left_out=left_out)
