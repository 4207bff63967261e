"""The four public relations `runs`, `requests`, `tokens`, `decisions` over verified files.

The views name exactly the files that were listed in a manifest and matched their sha256; never a folder pattern.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

_SQL_DIR = Path(__file__).parent / "sql" / "index"

# What read_parquet would give for no files, which DuckDB refuses to read.
_EMPTY = {
    "SEGMENTS": """(SELECT NULL::VARCHAR AS run, NULL::UINTEGER AS request_no, NULL::INTEGER AS position,
        NULL::INTEGER AS layer, NULL::INTEGER AS expert_id, NULL::INTEGER AS rank, NULL::BOOLEAN AS selected,
        NULL::INTEGER AS flags, NULL::INTEGER AS logit, NULL::INTEGER AS prob, NULL::INTEGER AS gate_weight,
        NULL::INTEGER AS margin WHERE false)""",
    "TOKENS": """(SELECT NULL::VARCHAR AS run, NULL::UINTEGER AS request_no, NULL::INTEGER AS position,
        NULL::INTEGER AS token_id, NULL::BOOLEAN AS is_special WHERE false)""",
    "REQUESTS": """(SELECT NULL::VARCHAR AS run, NULL::UINTEGER AS request_no, NULL::VARCHAR AS request_id,
        NULL::TIMESTAMP AS started_at, NULL::DOUBLE AS latency_ms, NULL::INTEGER AS n_tokens, NULL::VARCHAR AS domain,
        NULL::MAP(VARCHAR, VARCHAR) AS attributes, NULL::VARCHAR AS text, NULL::VARCHAR AS text_hash,
        NULL::VARCHAR AS label, NULL::DOUBLE AS score, NULL::VARCHAR AS reference_label,
        NULL::DOUBLE AS active_fraction, NULL::BIGINT AS flops, NULL::BIGINT AS flops_dense, NULL::DOUBLE AS budget,
        NULL::VARCHAR AS mode, NULL::VARCHAR AS actor WHERE false)""",
}


def index_sql(name: str) -> str:
    """A statement of `sql/index/`."""
    return (_SQL_DIR / f"{name}.sql").read_text(encoding="utf-8")


def create_views(
    connection: duckdb.DuckDBPyConnection, segments: Sequence[Path], tokens: Sequence[Path], *, temporary: bool
) -> None:
    """Makes `decisions` and `tokens` over these files, on top of a relation `request_rows`; if `temporary`, for this
    connection only."""
    _execute_over(connection, "views", {"SEGMENTS": segments, "TOKENS": tokens}, "TEMP" if temporary else "")


def create_console_relations(
    connection: duckdb.DuckDBPyConnection, runs: Sequence[Mapping[str, Any]], files: Mapping[str, Sequence[Path]]
) -> None:
    """All four relations in an empty database. `runs`: fields of `run` lines. `files`: verified files by role."""
    _execute_over(connection, "console", {"REQUESTS": files["requests"]})
    for run in runs:
        connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", run_values(run))
    create_views(connection, files["decisions"], files["tokens"], temporary=False)


def run_values(run: Mapping[str, Any]) -> list[Any]:
    """The fields of a `run` line -> the columns of `runs`, in order."""
    started_at = datetime.fromisoformat(run["started_at"]).astimezone(UTC).replace(tzinfo=None)
    plain = [run[name] for name in ("source", "model", "model_sha256", "n_layers", "n_experts", "mode", "budget")]
    as_json = [
        None if run[name] is None else json.dumps(run[name], ensure_ascii=False)
        for name in ("config", "software", "quality_card")
    ]
    return [run["run_id"], started_at, *plain, *as_json]


def _execute_over(
    connection: duckdb.DuckDBPyConnection, name: str, files: Mapping[str, Sequence[Path]], temp: str = ""
) -> None:
    """Runs a script of `sql/index/` in which {SEGMENTS}, {TOKENS}, {REQUESTS} stand for files."""
    sql = index_sql(name).replace("{TEMP}", temp)
    for placeholder, paths in files.items():
        sql = sql.replace("{" + placeholder + "}", _source(paths) if paths else _EMPTY[placeholder])
    connection.execute(sql)


def _source(paths: Sequence[Path]) -> str:
    files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    return f"read_parquet([{files}], hive_partitioning = true, hive_types_autocast = false)"
