"""Connections to DuckDB: it loads nothing, and prints nothing on a stdout where `--json` has one document."""

from pathlib import Path

import duckdb

Config = dict[str, str | bool | int | float | list[str]]

# One configuration for every connection of a process to a file: DuckDB refuses to mix them.
CONFIG: Config = {
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "memory_limit": "1GB",
}


def connect(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A database file. Raises duckdb.Error where it cannot be opened."""
    return _silent(duckdb.connect(str(path), read_only=read_only, config=CONFIG))


def connect_in_memory(temp_dir: Path | str | None = None) -> duckdb.DuckDBPyConnection:
    """A database of one's own. What does not fit in memory goes to `temp_dir`, if one is given."""
    more: Config = {} if temp_dir is None else {"temp_directory": str(temp_dir)}
    return _silent(duckdb.connect(":memory:", config=CONFIG | more))


def _silent(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Without the progress bar, which DuckDB turns on where Python was started without a script."""
    connection.execute("SET enable_progress_bar = false")
    return connection
