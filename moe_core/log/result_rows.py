"""Rows of an answer as JSON, and where it is cut off."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal


def json_rows(
    rows: Iterable[Sequence[Any]], max_rows: int, max_bytes: int
) -> tuple[list[str], Literal["rows", "bytes"] | None]:
    """Rows as JSON arrays, and what cut them off. Takes no more rows than it needs to know that."""
    done: list[str] = []
    for values in rows:
        if len(done) == max_rows:
            return done, "rows"
        row = json.dumps([to_json(value) for value in values], ensure_ascii=False, allow_nan=False)
        max_bytes -= len(row) if row.isascii() else len(row.encode())
        if max_bytes < 0:
            return done, "bytes"
        done.append(row)
    return done, None


def to_json(value: Any) -> Any:
    """A value as DuckDB or Arrow gives it -> a JSON value: times as ISO texts, maps as objects, NaN and infinity as
    null."""
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
