"""Read-only SQL over a store: `run_select` starts a child process that can see listed, verified files and nothing else.

DuckDB's own limits are not a sandbox (`repeat('x', 2e9)` ignores its time limit, `range(3e9)` its memory limit), so
the statement runs in a process whose memory is capped and which is killed when its time is up.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from moe_core.errors import QueryError
from moe_core.log.catalog import file_problem, read_catalog, were_removed_since
from moe_core.log.entries import ROLES, FileEntry, run_fields
from moe_core.log.file_state import FileState
from moe_core.log.store import Store, open_store

KILL_AFTER = 2.0  # seconds beyond the time limit that DuckDB is told
_verified: dict[tuple[Path, str, FileState], None] = {}  # files whose sha256 this process has compared


class SelectResult(NamedTuple):
    """`rows` are lists of JSON values in the order of `columns`; `truncated` tells that there were more of them.
    `left_out` has one sentence for each damaged batch that the answer does not contain."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    left_out: list[str]


def run_select(
    store_dir: Path | str,
    sql: str,
    max_rows: int = 10_000,
    *,
    timeout_seconds: float = 60.0,
    memory_mb: int = 1024,
    threads: int = 2,
) -> SelectResult:
    """Answers one SELECT over `runs`, `requests`, `tokens`, `decisions`. Works while another process owns the index.

    Times become ISO texts (UTC), maps become objects, NaN and infinity become null. Raises QueryError for anything
    but exactly one SELECT, for what DuckDB refuses, and when time or memory is used up.
    """
    if max_rows < 1:
        raise QueryError(f"max_rows is {max_rows}; give at least 1.")
    store = open_store(store_dir)
    task, left_out = _verified_files(store)
    task |= {
        "sql": sql,
        "max_rows": max_rows,
        "timeout_seconds": timeout_seconds,
        "memory_mb": memory_mb,
        "threads": threads,
    }
    answer = _ask_child(json.dumps(task).encode(), timeout_seconds, memory_mb)
    if "error" in answer:
        raise QueryError(answer["error"])
    return SelectResult(answer["columns"], answer["rows"], answer["truncated"], left_out)


def _verified_files(store: Store) -> tuple[dict[str, Any], list[str]]:
    """The runs and files that count, and what was left out because it is damaged."""
    catalog = read_catalog(store)
    left_out = list(catalog.errors)
    files: dict[str, list[str]] = {role: [] for role in ROLES}
    for batch in catalog.batches.values():
        problems = [problem for file in batch.files.values() if (problem := _problem(store, file)) is not None]
        left_out += problems
        if not problems:
            for role, file in batch.files.items():
                files[role].append(str(store.path / file.path))
    if left_out and were_removed_since(store, catalog):
        return _verified_files(store)
    return {"runs": [run_fields(run) for run in catalog.runs.values()], "files": files}, left_out


def _problem(store: Store, file: FileEntry) -> str | None:
    """As `file_problem`, but a file that did not change since the last look is not read again."""
    state = FileState.of(store.path / file.path)
    if state is not None and (store.path / file.path, file.sha256, state) in _verified:
        return None
    problem = file_problem(store, file)
    if problem is None and state is not None:
        _verified[store.path / file.path, file.sha256, state] = None
    return problem


def _ask_child(task: bytes, timeout_seconds: float, memory_mb: int) -> dict[str, Any]:
    root = str(Path(__file__).parents[2])
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": root, "LC_ALL": "C.UTF-8"}
    child = subprocess.Popen(
        [sys.executable, "-m", "moe_core.log.console_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        output, _ = child.communicate(task, timeout=timeout_seconds + KILL_AFTER)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise QueryError(f"The query was stopped after {timeout_seconds:g} seconds; ask for less.") from None
    try:
        answer: dict[str, Any] = json.loads(output)
        return answer
    except ValueError:
        raise QueryError(f"The query was stopped: it needs more than {memory_mb} MB of memory; ask for less.") from None
