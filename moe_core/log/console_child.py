"""The child process of the SQL console: one task in on stdin, one answer out on stdout, both JSON.

It runs the one statement in a DuckDB in memory, with its settings locked; the only files it may open are the listed
ones, and it can write none. Not for import by anything but `console.py` and its tests.
"""

import json
import math
import os
import re
import resource
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from moe_core.log.connections import connect_in_memory
from moe_core.log.result_rows import json_rows
from moe_core.log.statement_guard import refusal
from moe_core.log.views import create_console_relations

ADDRESS_SPACE_MB = 1024  # beyond the memory limit: code, stacks, buffers (186 MB after connect, 2 threads, 2 arenas)
CPU_SECONDS = 5  # beyond the time limit: ends an orphan whose parent was killed
ROWS_AT_ONCE = 64  # few, since a cell can be large
MOST_COLUMNS = 1000
MOST_CHARACTERS = 600  # of an error: DuckDB repeats values of any length


def main() -> None:
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing but the answer reaches the parent
    task = json.load(sys.stdin)
    _limit_process(task)
    channel.write(answer(task))
    channel.close()


def answer(task: Mapping[str, Any]) -> str:
    """columns, types, rows, cut_by; or error. As JSON of at most about `max_bytes`."""
    try:
        return run(open_database(task), task)
    except duckdb.Error as error:
        reason = _sentence(error, task)
    except MemoryError:
        reason = f"The query needs more than {task['memory_mb']} MB of memory; ask for less."
    except RecursionError:
        reason = "The statement is nested too deeply; write it with fewer levels."
    except Exception as error:  # values that Python has no type for come as errors of many kinds
        reason = f"The answer has a value that cannot be shown ({_one_line(error)}); cast it to VARCHAR."
    return _error(reason)


def open_database(task: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory with the four relations over the files of the task, and everything else locked."""
    connection = connect_in_memory()
    files = {role: [Path(path) for path in paths] for role, paths in task["files"].items()}
    create_console_relations(connection, task["runs"], files)
    _lock(connection, task)
    return connection


def run(connection: duckdb.DuckDBPyConnection, task: Mapping[str, Any]) -> str:
    """Raises what DuckDB raises."""
    statements = connection.extract_statements(task["sql"])
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        found = ", ".join(str(statement.type).split(".")[-1] for statement in statements) or "nothing"
        return _error(f"The console answers exactly one SELECT; this is: {found}.")
    tree = _tree(connection, task["sql"])
    if (reason := refusal(json.loads(tree), _catalog(connection))) is not None:
        return _error(reason)
    cursor = connection.execute(statements[0])
    described = cursor.description or []
    if len(described) > MOST_COLUMNS:
        return _error(f"The answer has {len(described):,} columns; ask for at most {MOST_COLUMNS:,}.")
    columns, types = (json.dumps([str(column[i]) for column in described]) for i in (0, 1))
    rows, cut_by = json_rows(_values(cursor), task["max_rows"], task["max_bytes"] - len(columns) - len(types))
    parts = [f'"columns": {columns}, "types": {types}, "cut_by": {json.dumps(cut_by)}, "rows": [{",".join(rows)}]']
    if task.get("with_tree"):
        parts.append(f'"tree": {tree}')
    return "{" + ", ".join(parts) + "}"


def _values(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """Row by row; DuckDB computes only what is fetched."""
    while chunk := cursor.fetchmany(ROWS_AT_ONCE):
        yield from chunk


def _limit_process(task: Mapping[str, Any]) -> None:
    """Memory and CPU time have a ceiling, and no file can be written, whatever DuckDB does."""
    memory = (task["memory_mb"] + ADDRESS_SPACE_MB) * 1024 * 1024
    cpu = math.ceil(task["timeout_seconds"] * task["threads"]) + CPU_SECONDS
    for limit, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))


def _lock(connection: duckdb.DuckDBPyConnection, task: Mapping[str, Any]) -> None:
    """No file but the listed ones, no extension, no spilling to disk, limits, and nothing of it can be changed."""
    allowed = ", ".join("'" + path.replace("'", "''") + "'" for paths in task["files"].values() for path in paths)
    for setting in (
        f"allowed_paths = [{allowed}]",
        "temp_directory = ''",  # it would be an allowed directory
        "autoload_known_extensions = false",
        "autoinstall_known_extensions = false",
        "allow_community_extensions = false",
        "allow_persistent_secrets = false",
        "python_enable_replacements = false",
        f"memory_limit = '{int(task['memory_mb'])}MB'",
        f"threads = {int(task['threads'])}",
        "max_temp_directory_size = '0MB'",
        f"max_execution_time = {max(1, int(task['timeout_seconds'] * 1000))}",
        "max_expression_depth = 250",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The parse tree as JSON."""
    serialized = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert serialized is not None
    return str(serialized[0])


def _catalog(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Lower-case names of the tables and views of this database."""
    found = connection.execute(
        "SELECT lower(view_name) FROM duckdb_views() WHERE schema_name <> 'information_schema' "  # needs its schema
        "UNION SELECT lower(table_name) FROM duckdb_tables()"
    ).fetchall()
    return {row[0] for row in found}


def _sentence(error: duckdb.Error, task: Mapping[str, Any]) -> str:
    if isinstance(error, duckdb.OutOfMemoryException):
        return f"The query needs more than {task['memory_mb']} MB of memory; ask for less."
    if isinstance(error, duckdb.InterruptException):
        return f"The query was stopped after {task['timeout_seconds']:g} seconds; ask for less."
    reason = _one_line(error)
    if "module 'pytz'" in reason:
        reason = "a TIMESTAMP WITH TIME ZONE cannot be shown; cast it to TIMESTAMP (`now()::TIMESTAMP`)."
    return f"DuckDB refuses the query: {reason}"


def _one_line(error: Exception) -> str:
    line = re.sub(r"\s*\^+", "", " ".join(str(error).split()))
    return line if len(line) <= MOST_CHARACTERS else line[:MOST_CHARACTERS] + " …"


def _error(reason: str) -> str:
    return json.dumps({"error": reason})


if __name__ == "__main__":
    main()
