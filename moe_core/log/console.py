"""Read-only SQL over a store: `run_select` starts a child process that can see listed, verified files and nothing else.

DuckDB's own limits are not a sandbox (`repeat('x', 2e9)` ignores its time limit, `range(3e9)` its memory limit), so
the statement runs in a process whose memory is capped and which is killed when its time is up. What a statement may
contain is decided by `statement_guard` from its parse tree, in the child.
"""

import json
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

from moe_core.errors import QueryError
from moe_core.log.entries import ROLES, run_fields
from moe_core.log.store import Store, open_store
from moe_core.log.verified import verified_batches

KILL_AFTER = 2.0  # seconds beyond the time limit that DuckDB is told
MAX_ROWS = 10_000
MAX_BYTES = 32_000_000  # of an answer as JSON
MOST_CHARACTERS = 100_000  # of a statement: an IN list of 300,000 keeps DuckDB's binder busy for a minute
MOST_SECONDS = 3600.0
ENVELOPE = 4_000_000  # bytes an answer may have beyond its rows


class SelectResult(NamedTuple):
    """`rows` are lists of JSON values in the order of `columns`; `types` are DuckDB's names of their types. `cut_by`
    tells that there were more rows, and which limit cut them off. `left_out` has one sentence for each damaged batch
    that the answer does not contain."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    cut_by: Literal["rows", "bytes"] | None
    left_out: list[str]

    @property
    def truncated(self) -> bool:
        return self.cut_by is not None


def run_select(
    store_dir: Path | str,
    sql: str,
    max_rows: int = MAX_ROWS,
    *,
    max_bytes: int = MAX_BYTES,
    timeout_seconds: float = 60.0,
    memory_mb: int = 1024,
    threads: int = 2,
) -> SelectResult:
    """Answers one SELECT over `runs`, `requests`, `tokens`, `decisions`. Works while another process owns the index.

    Times become ISO texts (UTC), maps become objects, NaN and infinity become null. Raises QueryError for anything
    but exactly one SELECT, for what DuckDB or `statement_guard` refuses, and when time or memory is used up.
    """
    _check(sql, max_rows, max_bytes, timeout_seconds)
    store = open_store(store_dir)
    task, left_out = _verified_files(store)
    task |= {
        "sql": sql,
        "max_rows": max_rows,
        "max_bytes": max_bytes,
        "timeout_seconds": timeout_seconds,
        "memory_mb": memory_mb,
        "threads": threads,
    }
    answer = _ask_child(json.dumps(task).encode(), timeout_seconds, memory_mb, max_bytes + ENVELOPE)
    if "error" in answer:
        raise QueryError(answer["error"])
    return SelectResult(answer["columns"], answer["types"], answer["rows"], answer["cut_by"], left_out)


class Description(NamedTuple):
    """What DuckDB says of a statement before it sees a row: `columns`, `types` as in SelectResult; `tree`: its parse
    tree (`json_serialize_sql`)."""

    columns: list[str]
    types: list[str]
    tree: dict[str, Any]


def describe_select(sql: str, *, timeout_seconds: float = 60.0, memory_mb: int = 1024) -> Description:
    """What `run_select` would answer on an empty store, for an engine that takes over from there. Refuses what
    `run_select` refuses, in the same words."""
    _check(sql, 1, MAX_BYTES, timeout_seconds)
    task = {
        "runs": [],
        "files": {role: [] for role in ROLES},
        "sql": sql,
        "max_rows": 1,
        "max_bytes": MAX_BYTES,
        "timeout_seconds": timeout_seconds,
        "memory_mb": memory_mb,
        "threads": 1,
        "with_tree": True,
    }
    answer = _ask_child(json.dumps(task).encode(), timeout_seconds, memory_mb, MAX_BYTES + ENVELOPE)
    if "error" in answer:
        raise QueryError(answer["error"])
    return Description(answer["columns"], answer["types"], answer["tree"])


def _check(sql: str, max_rows: int, max_bytes: int, timeout_seconds: float) -> None:
    if max_rows < 1 or max_bytes < 1:
        raise QueryError(f"max_rows is {max_rows} and max_bytes {max_bytes}; give at least 1.")
    if not (math.isfinite(timeout_seconds) and 0 < timeout_seconds <= MOST_SECONDS):
        raise QueryError(f"A time limit of {timeout_seconds:g} seconds cannot be kept; give 0.1 to {MOST_SECONDS:g}.")
    if len(sql) > MOST_CHARACTERS:
        raise QueryError(f"The statement has {len(sql):,} characters; write it with at most {MOST_CHARACTERS:,}.")
    if "\0" in sql or any("\ud800" <= character <= "\udfff" for character in sql):
        raise QueryError("The statement holds a character that is no text (NUL or half of a pair); remove it.")


def _verified_files(store: Store) -> tuple[dict[str, Any], list[str]]:
    """The runs and files that count, as the child takes them, and what was left out because it is damaged."""
    verified = verified_batches(store)
    files = {role: [str(store.path / file.path) for file in verified.files(role)] for role in ROLES}
    return {"runs": [run_fields(run) for run in verified.runs], "files": files}, verified.left_out


def _ask_child(task: bytes, timeout_seconds: float, memory_mb: int, max_bytes: int) -> dict[str, Any]:
    root = str(Path(__file__).parents[2])
    environment = {"PYTHONPATH": root, "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}
    deadline = time.monotonic() + timeout_seconds + KILL_AFTER
    with _in_memory(task) as question:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "moe_core.log.console_child"],
            stdin=question,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
        )
    try:
        output = _read(child, deadline, max_bytes)
        if output is None:
            raise QueryError(f"The query was stopped after {timeout_seconds:g} seconds; ask for less.")
        if len(output) > max_bytes:
            raise QueryError(f"The answer has more than {max_bytes:,} bytes; ask for less.")
        return _parsed(output, child.wait(), timeout_seconds, memory_mb)
    finally:
        child.kill()
        child.communicate()


def _in_memory(data: bytes) -> Any:
    """An open file without a name that holds the data: the child can take its time to read it."""
    file = os.fdopen(os.memfd_create("question"), "w+b")
    file.write(data)
    file.seek(0)
    return file


def _read(child: "subprocess.Popen[bytes]", deadline: float, max_bytes: int) -> bytes | None:
    """What the child writes until it ends, or until there is too much of it; None where time is up."""
    assert child.stdout is not None
    parts: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while size <= max_bytes:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return None
            part = os.read(child.stdout.fileno(), 1 << 20)
            if not part:
                break
            parts.append(part)
            size += len(part)
    return b"".join(parts)


def _parsed(output: bytes, exit_code: int, timeout_seconds: float, memory_mb: int) -> dict[str, Any]:
    """The child's answer; a child that ended without one is an answer too."""
    try:
        answer: dict[str, Any] = json.loads(output)
        return answer
    except (ValueError, RecursionError):
        pass
    if exit_code == -signal.SIGXCPU:
        raise QueryError(f"The query was stopped after {timeout_seconds:g} seconds; ask for less.")
    if exit_code in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGILL):
        raise QueryError("DuckDB broke off at this statement (nothing else was harmed); write it differently.")
    ended = f" (its process ended with code {exit_code})" if exit_code > 0 else ""
    raise QueryError(f"The query was stopped: it needs more than {memory_mb} MB of memory{ended}; ask for less.")
