"""`query`: one read-only SQL question to the routing log."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, StoreOption, emit, note, table
from moe_core.cli.spark_options import QUERY_ENGINES, SparkMasterOption, check_engine
from moe_core.errors import InputError

if TYPE_CHECKING:
    from moe_core.log.console import SelectResult

TIMEOUT_SECONDS = 60.0
MAX_BYTES = 128_000_000  # of an answer as JSON; the row limit comes first in all but strange cases
WIDEST_CELL = 100  # characters of a cell on a terminal; files and --json hold everything


def query(
    sql: Annotated[
        str | None, typer.Argument(help="One SELECT over runs, requests, tokens, decisions.", show_default=False)
    ] = None,
    example: Annotated[str | None, typer.Option("--example", help="Run this saved question instead.")] = None,
    examples: Annotated[bool, typer.Option("--examples", help="List the saved questions.")] = False,
    limit: Annotated[int, typer.Option("--limit", help="Largest number of rows to return.")] = 10_000,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", help="Seconds after which the query is stopped.", show_default="60; on Spark 600",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the rows to F.csv or F.parquet.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --out replace a file.")] = False,
    engine: Annotated[str, typer.Option("--engine", help=" or ".join(QUERY_ENGINES))] = "duckdb",
    spark_master: SparkMasterOption = None,
    spark_files: Annotated[
        str | None,
        typer.Option(
            "--spark-files", metavar="URI", help="Copy of the store that Spark reads, e.g. s3a://bucket/store.",
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Ask the log one read-only SQL question."""
    from moe_core.log.questions import stock_question, stock_questions
    from moe_core.log.result_file import check_target, write_result

    if [sql is not None, example is not None, examples].count(True) != 1:
        raise InputError("Give one of: a SELECT, --example NAME, --examples.")
    if examples:
        questions = stock_questions()
        listing = {"examples": [{"name": q.name, "title": q.title, "sql": q.sql} for q in questions]}
        emit(listing, table(["NAME", "QUESTION"], [[q.name, q.title] for q in questions]), as_json)
        return
    check_engine(engine, QUERY_ENGINES, {"--spark-master": spark_master, "--spark-files": spark_files})
    if limit < 1:
        raise InputError(f"--limit {limit} must be at least 1.")
    if out is not None:
        check_target(out, force=force)
    statement = stock_question(example).sql if example is not None else str(sql)
    if engine == "spark":
        result = _on_spark(store, statement, limit, timeout, spark_master, spark_files)
    else:
        from moe_core.log.console import run_select

        seconds = TIMEOUT_SECONDS if timeout is None else timeout
        result = run_select(store, statement, max_rows=limit, max_bytes=MAX_BYTES, timeout_seconds=seconds)
    for sentence in result.left_out:
        note(f"left out: {sentence}")
    facts = {"columns": result.columns, "truncated": result.truncated, "left_out": result.left_out}
    if out is not None:
        write_result(result, out, force=force)
        document = {**facts, "out": str(out), "n_rows": len(result.rows)}
        emit(document, [f"{len(result.rows):,} rows written to {out}", *_cut(result)], as_json)
    else:
        rows = [[_cell(value) for value in row] for row in result.rows] if not as_json else []
        lines = [*table(result.columns, rows), *_cut(result)] if not as_json else []
        emit({**facts, "rows": result.rows}, lines, as_json)


def _on_spark(
    store: Path, statement: str, limit: int, timeout: float | None, master: str | None, files_at: str | None
) -> "SelectResult":
    from moe_core.spark.select import TIMEOUT_SECONDS as SPARK_SECONDS
    from moe_core.spark.select import run_select_on_spark

    seconds = SPARK_SECONDS if timeout is None else timeout
    result, rows = run_select_on_spark(
        store, statement, max_rows=limit, max_bytes=MAX_BYTES, timeout_seconds=seconds, master=master, files_at=files_at
    )
    note(f"spark saw {', '.join(f'{n:,} {name}' for name, n in rows.items())}: as many as the manifests list")
    return result


def _cut(result: "SelectResult") -> list[str]:
    """What tells a reader that there is more."""
    if result.cut_by == "rows":
        return [f"... cut after {len(result.rows):,} rows: raise --limit"]
    return [f"... cut after {MAX_BYTES:,} bytes: ask for fewer columns"] if result.cut_by else []


def _cell(value: Any) -> str:
    """One cell on a terminal, on one line and not endless."""
    if value is None:
        return "NULL"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool) else str(value)
    return text if len(text) <= WIDEST_CELL else text[: WIDEST_CELL - 1] + "…"
