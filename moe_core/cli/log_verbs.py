"""`index`, `query`: the routing log."""

from typing import Annotated

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, StoreOption, emit, table


def index(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Delete the index and build it from the segments.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """Bring the DuckDB index of a store up to date."""
    from moe_core.log import queries
    from moe_core.log.index import Index

    with Index.open(store) as opened:
        if rebuild:
            opened.rebuild()
        opened.refresh()
        row = queries.store_totals(opened).iloc[0]
        totals = {key: int(row[key]) for key in ("runs", "requests", "tokens", "decisions", "batches", "bytes")}
        errors = [str(what) for what in queries.problems(opened)["what"]]
    emit({**totals, "errors": errors}, [*(f"{k}: {v:,}" for k, v in totals.items()), *errors], as_json)
    if errors:
        raise typer.Exit(1)


def query(
    sql: Annotated[str, typer.Argument(help="One SELECT over runs, requests, tokens, decisions.")],
    limit: Annotated[int, typer.Option("--limit", help="Largest number of rows to return.")] = 10_000,
    engine: Annotated[str, typer.Option("--engine", help="duckdb")] = "duckdb",
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """Ask the log one read-only SQL question."""
    from moe_core.errors import InputError
    from moe_core.log.console import run_select

    if engine != "duckdb":
        raise InputError(f"Engine {engine!r} is unknown: use duckdb.")
    if limit < 1:
        raise InputError(f"--limit {limit} must be at least 1.")
    result = run_select(store, sql, max_rows=limit)
    document = {"columns": result.columns, "rows": result.rows, "truncated": result.truncated,
                "left_out": result.left_out}  # fmt: skip
    more = [f"... cut after {limit:,} rows: raise --limit"] if result.truncated else []
    emit(document, [*table(result.columns, result.rows), *more], as_json)
