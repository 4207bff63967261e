"""The child process of the SQL console: one task in on stdin, one answer out on stdout, both JSON.

It runs the one statement in a DuckDB in memory, with its settings locked; the only files it may open are the listed
ones. Not for import by anything but `console.py` and its tests.
"""

import json
import math
import re
import resource
import sys
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from moe_core.log.views import create_console_relations

ADDRESS_SPACE_MB = 3072  # beyond the memory limit: code, threads, buffers


def main() -> None:
    task = json.load(sys.stdin)
    limit = (task["memory_mb"] + ADDRESS_SPACE_MB) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        answer = run(task)
    except duckdb.Error as error:
        answer = {"error": _sentence(error, task)}
    except MemoryError:
        answer = {"error": f"The query needs more than {task['memory_mb']} MB of memory; ask for less."}
    json.dump(answer, sys.stdout, allow_nan=False)


def run(task: Mapping[str, Any]) -> dict[str, Any]:
    """-> columns, rows, truncated; or error."""
    connection = duckdb.connect(":memory:")
    files = {role: [Path(path) for path in paths] for role, paths in task["files"].items()}
    create_console_relations(connection, task["runs"], files)
    _lock(connection, task)
    statements = connection.extract_statements(task["sql"])
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        found = ", ".join(str(statement.type).split(".")[-1] for statement in statements) or "nothing"
        return {"error": f"The console answers exactly one SELECT; this is: {found}."}
    cursor = connection.execute(statements[0])
    columns = [column[0] for column in cursor.description or []]
    rows = cursor.fetchmany(task["max_rows"] + 1)
    return {
        "columns": columns,
        "rows": [[to_json(value) for value in row] for row in rows[: task["max_rows"]]],
        "truncated": len(rows) > task["max_rows"],
    }


def to_json(value: Any) -> Any:
    """A DuckDB value -> a JSON value: times as ISO texts, maps as objects, NaN and infinity as null."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return float(value) if value.is_finite() else None
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case Mapping():
            return {str(key): to_json(item) for key, item in value.items()}
        case list() | tuple() | set():
            return [to_json(item) for item in value]
        case _:
            return str(value)


def _lock(connection: duckdb.DuckDBPyConnection, task: Mapping[str, Any]) -> None:
    """No file but the listed ones, no extension, no spilling to disk, limits, and nothing of it can be changed."""
    allowed = ", ".join("'" + path.replace("'", "''") + "'" for paths in task["files"].values() for path in paths)
    for setting in (
        f"allowed_paths = [{allowed}]",
        "autoload_known_extensions = false",
        "autoinstall_known_extensions = false",
        "allow_community_extensions = false",
        "allow_persistent_secrets = false",
        "python_enable_replacements = false",
        f"memory_limit = '{int(task['memory_mb'])}MB'",
        f"threads = {int(task['threads'])}",
        "max_temp_directory_size = '0MB'",
        f"max_execution_time = {int(task['timeout_seconds'] * 1000)}",
        "max_expression_depth = 250",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def _sentence(error: duckdb.Error, task: Mapping[str, Any]) -> str:
    if isinstance(error, duckdb.OutOfMemoryException):
        return f"The query needs more than {task['memory_mb']} MB of memory; ask for less."
    if isinstance(error, duckdb.InterruptException):
        return f"The query was stopped after {task['timeout_seconds']:g} seconds; ask for less."
    reason = re.sub(r"\s*\^+", "", " ".join(str(error).split()))
    if "pytz" in reason:
        reason = "a TIMESTAMP WITH TIME ZONE cannot be shown; cast it to TIMESTAMP (`now()::TIMESTAMP`)."
    return f"DuckDB refuses the query: {reason}"


if __name__ == "__main__":
    main()
