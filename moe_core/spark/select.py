"""`run_select_on_spark`: the same SELECT on the same files, computed by Spark.

DuckDB judges the statement and names the columns and their types, on an empty store, in the console's child process;
then it is printed anew in Spark's SQL and computed there. So the two engines refuse alike, and their answers have the
same names and Python types.
"""

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from moe_core.errors import QueryError
from moe_core.log.console import KILL_AFTER, MAX_BYTES, MAX_ROWS, Description, SelectResult, describe_select
from moe_core.log.result_rows import json_rows
from moe_core.log.store import open_store
from moe_core.log.verified import problems_on_disk, verified_batches
from moe_core.spark.plan_check import check_casts
from moe_core.spark.printing import names_in, spark_sql
from moe_core.spark.relations import create_relations, problems_seen_by, root_of
from moe_core.spark.session import Spark, is_of_spark, one_line, quiet, start_spark

T = TypeVar("T")
TIMEOUT_SECONDS = 600.0
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_REAL = ("DOUBLE", "FLOAT", "DECIMAL")


def run_select_on_spark(
    store_dir: Path | str,
    sql: str,
    max_rows: int = MAX_ROWS,
    *,
    max_bytes: int = MAX_BYTES,
    timeout_seconds: float = TIMEOUT_SECONDS,
    master: str | None = None,
    files_at: str | None = None,
) -> tuple[SelectResult, dict[str, int]]:
    """-> the answer, and how many rows of each relation Spark saw, equal to what the manifests list.

    `files_at`: address of a copy of the store that Spark reads instead, each file of which it checks first. Time
    counts from when Spark has started. Raises QueryError as `run_select` does, and for a statement that the engines do
    not understand alike; SparkError where there is no Spark.
    """
    description, statement = prepare(sql, timeout_seconds=timeout_seconds)
    root_of(open_store(store_dir), files_at)  # refused before Spark takes its seconds to start
    with start_spark(master) as spark:

        def ask() -> tuple[SelectResult, dict[str, int]]:
            asked = {"token_id", "*"} & names_in(description.tree)
            left_out, totals = show_store(spark, store_dir, files_at, with_token_ids=bool(asked))
            return compute(spark, description, statement, left_out, max_rows, max_bytes), totals

        return in_time(spark, ask, timeout_seconds)


def prepare(sql: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[Description, str]:
    """What DuckDB says of the statement, and the statement in Spark's SQL."""
    description = describe_select(sql, timeout_seconds=timeout_seconds)
    return description, spark_sql(description.tree)


def show_store(
    spark: Spark, store_dir: Path | str, files_at: str | None = None, *, with_token_ids: bool = True
) -> tuple[list[str], dict[str, int]]:
    """Makes the four relations of a store in this Spark. -> a sentence for each file that is left out, and how many
    rows there are. Raises QueryError where these are not what the manifests list."""
    store = open_store(store_dir)
    root = root_of(store, files_at)
    verified = verified_batches(store, problems_on_disk if files_at is None else problems_seen_by(spark, root))
    return verified.left_out, create_relations(spark, verified, root, with_token_ids=with_token_ids)


def compute(
    spark: Spark,
    description: Description,
    statement: str,
    left_out: list[str],
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> SelectResult:
    """The answer to a prepared statement over the relations shown. Raises QueryError, and what Spark raises."""
    frame = spark.session.sql(statement)
    check_casts(frame)
    places = [f"c{i}" for i in range(len(description.columns))]
    table = frame.toDF(*places).limit(max_rows + 1).toArrow()
    columns = [_as_duckdb(table[name].to_pylist(), i, description) for i, name in enumerate(places)]
    head = len(json.dumps(description.columns)) + len(json.dumps(description.types))
    texts, cut_by = json_rows(zip(*columns, strict=True), max_rows, max_bytes - head)
    rows = json.loads(f"[{','.join(texts)}]")  # the same way as from the console's child process
    return SelectResult(description.columns, description.types, rows, cut_by, left_out)


def in_time(spark: Spark, ask: Callable[[], T], timeout_seconds: float) -> T:
    """What `ask` gives. When time is up Spark is told to stop, and a little later it is killed; in either case it is of
    no more use: a task of it may go on, deaf in its loop."""
    over = threading.Event()

    def stop() -> None:
        over.set()
        spark.cancel()

    timers = [threading.Timer(timeout_seconds, stop), threading.Timer(timeout_seconds + KILL_AFTER, spark.kill)]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        with quiet():
            return ask()
    except QueryError:
        raise
    except Exception as error:  # of pyspark, py4j, or of a connection whose other end was killed
        if over.is_set():
            raise QueryError(f"The query was stopped after {timeout_seconds:g} seconds; ask for less.") from None
        if not is_of_spark(error):
            raise
        raise QueryError(f"Spark refuses the query: {one_line(error)}.") from None
    finally:
        for timer in timers:
            timer.cancel()


def _as_duckdb(values: Sequence[Any], place: int, description: Description) -> list[Any]:
    """The values of a column in the Python type that DuckDB's answer has."""
    kind = description.types[place]
    if kind in _WHOLE:
        wanted: tuple[type, ...] = (int,)
    elif kind.startswith(_REAL):
        values = [float(value) if isinstance(value, int) and not isinstance(value, bool) else value for value in values]
        wanted = (float,)
    elif kind == "VARCHAR" or kind == "JSON":
        wanted = (str,)
    elif kind == "BOOLEAN":
        wanted = (bool,)
    elif kind.startswith("MAP("):
        values = [None if value is None else dict(value) for value in values]
        wanted = (dict,)
    else:
        return list(values)
    for value in values:
        if value is not None and (not isinstance(value, wanted) or (wanted == (int,) and isinstance(value, bool))):
            raise QueryError(
                f"Column {description.columns[place]!r} is {kind} in DuckDB, but Spark answers {type(value).__name__}: "
                "cast it to one type, or leave out --engine spark."
            )
    return list(values)
