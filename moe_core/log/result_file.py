"""The answer of the SQL console as a typed table, as CSV and as Parquet.

Types follow DuckDB's own where a plain column can hold them; lists, maps and structs become JSON texts, and so does
whatever does not fit its type after all (a HUGEINT beyond 64 bits, a date beyond the year 9999).
"""

import csv
import io
import json
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from moe_core.errors import InputError
from moe_core.log.console import SelectResult
from moe_core.log.segments import parquet_bytes, write_durable

FORMATS = (".csv", ".parquet")
_INTEGERS = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)")
_TYPES = {
    "BOOLEAN": pa.bool_(),
    "FLOAT": pa.float64(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP_S": pa.timestamp("us"),
    "TIMESTAMP_MS": pa.timestamp("us"),
    "TIMESTAMP_NS": pa.timestamp("us"),
}


def result_table(result: SelectResult) -> pa.Table:
    """One typed column for each of the answer, with unique names: a second `n` is called `n_2`."""
    columns = [_column([row[i] for row in result.rows], kind) for i, kind in enumerate(result.types)]
    return pa.Table.from_arrays(columns, names=unique_names(result.columns))


def result_frame(result: SelectResult) -> pd.DataFrame:
    """As `result_table`; integers with gaps stay integers."""
    frame: pd.DataFrame = result_table(result).to_pandas(
        types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get, date_as_object=False
    )
    return frame


def unique_names(names: list[str]) -> list[str]:
    """Every name once, empty ones as `column`."""
    taken: set[str] = set()
    found = []
    for name in names:
        unique, count = name or "column", 1
        while unique in taken:
            count += 1
            unique = f"{name or 'column'}_{count}"
        taken.add(unique)
        found.append(unique)
    return found


def csv_text(result: SelectResult) -> str:
    """Comma-separated, one header line; null is an empty cell. Cells are exact: a program may read them back."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(unique_names(result.columns))
    writer.writerows([cell_text(value) for value in row] for row in result.rows)
    return text.getvalue()


def cell_text(value: Any) -> str:
    """A value of the answer as text: null is empty, lists and maps are JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def parquet_file(result: SelectResult) -> bytes:
    """The answer as one Parquet file."""
    return bytes(parquet_bytes(result_table(result), {}))


def check_target(path: Path, *, force: bool) -> None:
    """Raises InputError where `write_result` would write a wrong format or over a file that exists."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"--out {path} must end in .csv or .parquet.")
    if path.is_dir():
        raise InputError(f"--out {path} is a folder; name a file in it.")
    if path.exists() and not force:
        raise InputError(f"--out {path} exists; choose another name, or --force to replace it.")


def write_result(result: SelectResult, path: Path, *, force: bool = False) -> None:
    """Writes CSV or Parquet by the ending of the path: the whole file or none. Raises InputError, SegmentError."""
    check_target(path, force=force)
    data = csv_text(result).encode() if path.suffix.lower() == ".csv" else parquet_file(result)
    try:
        write_durable(path, data, replace=force)
    except FileExistsError:
        raise InputError(f"--out {path} exists; choose another name, or --force to replace it.") from None


def _column(values: list[Any], kind: str) -> pa.Array:
    try:
        if _INTEGERS.fullmatch(kind):
            return pa.array(values, pa.int64())
        if kind.startswith("DECIMAL"):
            return pa.array(values, pa.float64())
        if kind in _TYPES:
            return pa.array([_moment(value, kind) for value in values], _TYPES[kind])
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        pass
    return pa.array([None if value is None else cell_text(value) for value in values], pa.string())


def _moment(value: Any, kind: str) -> Any:
    if value is None or not isinstance(value, str):
        return value
    return date.fromisoformat(value) if kind == "DATE" else datetime.fromisoformat(value)
