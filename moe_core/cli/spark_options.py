"""The options that say where a verb computes: in this process, or on Spark."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from moe_core.errors import InputError

QUERY_ENGINES = ("duckdb", "spark")
INFER_ENGINES = ("local", "spark")
SparkMasterOption = Annotated[
    str | None,
    typer.Option("--spark-master", metavar="URL", help="With --engine spark: its master.", show_default="local[*]"),
]


def check_engine(engine: str, engines: Sequence[str], spark_only: Mapping[str, str | None]) -> None:
    """Raises InputError for an unknown engine, and for options of Spark (None where not given) without it."""
    if engine not in engines:
        raise InputError(f"Engine {engine!r} is unknown: use {' or '.join(engines)}.")
    given = [name for name, value in spark_only.items() if value is not None]
    if given and engine != "spark":
        raise InputError(f"{' and '.join(given)} is for Spark: add --engine spark or leave it out.")
