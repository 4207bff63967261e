"""The columns of an import's Parquet files, and opening these files: every refusal names the file and what to do.

A column that is missing, or that is of the type NULL, is "not there"; `instead` says what is stored in its place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from moe_core.errors import InputError

Kind = Literal["text", "whole", "real", "flag", "time", "map"]
KIND_NAMES: dict[Kind, str] = {
    "text": "text (VARCHAR)",
    "whole": "an integer type",
    "real": "a number type (FLOAT or DOUBLE)",
    "flag": "BOOLEAN",
    "time": "TIMESTAMP, or text in ISO 8601",
    "map": "MAP(VARCHAR, VARCHAR), a STRUCT, or text with a JSON object",
}


@dataclass(frozen=True, slots=True)
class Column:
    """`instead` is None where the column must be there, else what is stored without it."""

    name: str
    kind: Kind
    instead: str | None = None


DECISION_COLUMNS = (
    Column("run_id", "text"),
    Column("request_id", "text"),
    Column("position", "whole"),
    Column("layer", "whole"),
    Column("expert_id", "whole"),
    Column(
        "rank", "whole", "the order of gate_weight, else prob, else logit, else of the rows; executed experts first"
    ),
    Column("selected", "flag", "true: every listed expert was executed"),
    Column("logit", "real", "unknown (NULL)"),
    Column("prob", "real", "unknown (NULL)"),
    Column("gate_weight", "real", "unknown (NULL)"),
    Column("margin", "real", "unknown (NULL)"),
    Column("flags", "whole", "only `imported`"),
    Column("token_id", "whole", "no tokens, unless tokens.parquet lists them"),
)
REQUEST_COLUMNS = (
    Column("run_id", "text"),
    Column("request_id", "text"),
    Column("started_at", "time", "the run's started_at"),
    Column("latency_ms", "real", "unknown (NULL)"),
    Column("n_tokens", "whole", "the highest position that is listed, plus 1"),
    Column("domain", "text", "none (NULL)"),
    Column("attributes", "map", "none (NULL)"),
    Column("text", "text", "none (NULL)"),
    Column("text_hash", "text", "the store's hash of the text"),
    Column("label", "text", "none (NULL)"),
    Column("score", "real", "unknown (NULL)"),
    Column("reference_label", "text", "none (NULL)"),
    Column("active_fraction", "real", "executed experts / n_experts, mean over the listed tokens and layers"),
    Column("flops", "whole", "0"),
    Column("flops_dense", "whole", "0"),
    Column("budget", "real", "the run's budget"),
    Column("mode", "text", "the run's mode"),
    Column("actor", "text", "none (NULL)"),
)
TOKEN_COLUMNS = (
    Column("run_id", "text"),
    Column("request_id", "text"),
    Column("position", "whole"),
    Column("token_id", "whole"),
    Column("is_special", "flag", "false"),
)
_KEYS = ["run_id", "request_id"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportFile:
    """A Parquet file whose columns have usable types. `present` in the order of its table of columns."""

    path: Path
    n_rows: int
    present: tuple[str, ...]
    missing: tuple[Column, ...]
    ignored: tuple[str, ...]

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """The present columns, `rows` at a time; the two ids come as dictionaries, so no text is made per row."""
        try:
            n_read = 0
            with _open(self.path, _KEYS) as file:
                for batch in file.iter_batches(rows, columns=list(self.present), use_threads=False):
                    n_read += len(batch)
                    _validate_ids(batch)
                    yield batch
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self.path, error) from None
        self._check_rows(n_read)

    def read(self) -> pa.Table:
        """The present columns, all rows."""
        try:
            with _open(self.path, _KEYS) as file:
                table = file.read(columns=list(self.present), use_threads=False)
            _validate_ids(table)
        except (OSError, pa.ArrowException) as error:
            raise unreadable(self.path, error) from None
        self._check_rows(table.num_rows)
        return table

    def _check_rows(self, n_read: int) -> None:
        if n_read != self.n_rows:
            raise unreadable(self.path, ValueError(f"it holds {n_read} rows, its footer says {self.n_rows}"))


def open_import_file(path: Path, columns: Sequence[Column]) -> ImportFile:
    """Raises InputError for a file that is missing, empty, not Parquet, or lacks a column or has it in a wrong type."""
    if not path.exists():
        raise InputError(f"There is no file {path}; write the table to this place as one Parquet file.")
    if not path.is_file():
        raise InputError(f"{path} is not a file; write the table as one Parquet file of that name.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); write it again as a Parquet file.")
    try:
        with _open(path) as file:
            schema, n_rows = file.schema_arrow, file.metadata.num_rows
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise unreadable(path, error) from None
    there = ", ".join(schema.names) or "no column at all"
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise InputError(f"{path} has the column {name!r} more than once; write it once.")
    present, missing = [], []
    for column in columns:
        if column.name not in schema.names or pa.types.is_null(schema.field(column.name).type):
            if column.instead is None:
                lacks = "has no values in" if column.name in schema.names else "lacks"
                raise InputError(f"{path} {lacks} the column {column.name!r}, which must be there; it has {there}.")
            missing.append(column)
            continue
        _check_type(path, column, schema.field(column.name).type)
        present.append(column.name)
    if n_rows == 0:
        raise InputError(f"{path} has no rows; write at least one, or leave the import.")
    known = {column.name for column in columns}
    return ImportFile(
        path=path,
        n_rows=n_rows,
        present=tuple(present),
        missing=tuple(missing),
        ignored=tuple(name for name in schema.names if name not in known),
    )


def unreadable(path: Path, error: Exception) -> InputError:
    reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return InputError(
        f"{path} cannot be read as Parquet ({reason}); it is damaged or of another format: write it again."
    )


def is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain))


def _open(path: Path, as_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    return pq.ParquetFile(
        path,
        page_checksum_verification=True,
        read_dictionary=list(as_dictionary),
        pre_buffer=False,  # else the bytes of the whole file are held while it is streamed
    )


def _validate_ids(table: pa.RecordBatch | pa.Table) -> None:
    """What damage can do to a dictionary that Arrow decodes without an error: raises ArrowInvalid."""
    for name in _KEYS:
        table.column(name).validate(full=True)


def _check_type(path: Path, column: Column, kind: pa.DataType) -> None:
    types: Any = pa.types
    fits = {
        "text": is_text(kind),
        "whole": types.is_integer(kind),
        "real": types.is_floating(kind) or types.is_integer(kind) or types.is_decimal(kind),
        "flag": types.is_boolean(kind),
        "time": types.is_timestamp(kind) or types.is_date(kind) or is_text(kind),
        "map": types.is_map(kind) or types.is_struct(kind) or is_text(kind),
    }[column.kind]
    if not fits:
        raise InputError(
            f"{path}: the column {column.name!r} is of type {kind}; it must be {KIND_NAMES[column.kind]}: convert it."
        )
