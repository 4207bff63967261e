"""`index`, `verify`: the routing log."""

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


def verify(store: StoreOption = DEFAULT_STORE, as_json: JsonFlag = False) -> None:
    """Check every hash chain, file and row count of a store."""
    from moe_core.log.verify import verify_store

    report = verify_store(store)
    document = {"ok": report.ok, "segments": report.segments, "decisions": report.decisions,
                "errors": list(report.errors), "notes": list(report.notes)}  # fmt: skip
    verdict = "intact" if report.ok else "DAMAGED OR ALTERED"
    summary = f"{verdict}: {report.segments:,} segments, {report.decisions:,} decisions"
    emit(document, [summary, *report.errors, *report.notes], as_json)
    if not report.ok:
        raise typer.Exit(1)
