"""`index`: the index of the routing log."""

from typing import Annotated

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, StoreOption, emit


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
