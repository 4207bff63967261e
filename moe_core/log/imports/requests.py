"""`requests.parquet` of an import: read whole and checked; later, in the form in which the store holds requests.

Shape letters: R requests, in the order of the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from moe_core.log.imports.attributes import to_map
from moe_core.log.imports.checks import RowFaults, real, utf8, whole
from moe_core.log.imports.columns import REQUEST_COLUMNS, ImportFile
from moe_core.log.imports.keys import RequestKeys, numbered, run_codes, text_at
from moe_core.log.imports.runs import ImportRun
from moe_core.log.request_encoding import REQUEST_SCHEMA
from moe_core.log.store import Store

UNKNOWN_COUNT = -1
_LARGEST = {"n_tokens": 2**31 - 1, "flops": 2**63 - 1, "flops_dense": 2**63 - 1}
_INFINITE = float(np.finfo(np.float64).max)
_RANGES = {
    "latency_ms": (0.0, _INFINITE, "which is not a finite time; write milliseconds from 0"),
    "score": (-_INFINITE, _INFINITE, "which is not finite; write NULL where it is not known"),
    "active_fraction": (0.0, 1.001, "outside 0 to 1; write the share of the expert compute that ran"),
    "budget": (-_INFINITE, _INFINITE, "which is not finite; write NULL where there is none"),
}
_TEXTS = ("domain", "text", "text_hash", "label", "reference_label", "mode", "actor")
_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(kw_only=True, slots=True)
class ImportedRequests:
    """`columns`: what the file says, checked, `started_at` as UTC microseconds; `has_zone` is None without times.

    n_tokens_R: -1 where the file does not say.
    """

    file: ImportFile
    keys: RequestKeys
    run_R: NDArray[np.int64]
    ids: pa.Array
    n_tokens_R: NDArray[np.int64]
    columns: dict[str, pa.Array]
    has_zone: bool | None

    def __len__(self) -> int:
        return len(self.run_R)

    def first_start(self, run: int) -> datetime | None:
        """When the earliest request of this run began, as far as the file says."""
        if "started_at" not in self.columns:
            return None
        of_run = self.columns["started_at"].filter(pa.array(self.run_R == run))
        first = pc.min(of_run).as_py()
        return None if first is None else first.replace(tzinfo=UTC)

    def unknown_shares(self, of_run_R: NDArray[np.bool_]) -> dict[str, float]:
        """For each column, the share of these requests for which the file has no value."""
        n = max(int(of_run_R.sum()), 1)
        chosen = pa.array(of_run_R)
        shares = {
            name: column.filter(chosen).null_count / n for name, column in self.columns.items() if name != "started_at"
        }
        return {column.name: shares.get(column.name, 1.0) for column in REQUEST_COLUMNS if column.name in _CARD_COLUMNS}

    def days(self, runs: Sequence[ImportRun]) -> list[str]:
        """The day in UTC, YYYY-MM-DD, on which each request began."""
        return [moment.date().isoformat() for moment in self._starts(runs).to_pylist()]

    def table(
        self, runs: Sequence[ImportRun], store: Store, *, number_R: NDArray[np.int64], n_tokens_R: NDArray[np.int64],
        active_fraction_R: NDArray[np.float64],
    ) -> pa.Table:  # fmt: skip
        """All requests in `REQUEST_SCHEMA`. A column that the file lacks is filled in; a NULL stays where it may.
        NaN in active_fraction_R: not known."""
        of_run = pa.array(self.run_R)
        modes = pa.array([run.mode for run in runs]).take(of_run)
        budgets = pa.array([run.budget for run in runs], pa.float64()).take(of_run)
        zero = pa.scalar(0, pa.int64())
        text = self._column("text")
        hashes = [None if value is None else store.text_hash(value) for value in text.to_pylist()]
        active = pa.array(active_fraction_R, mask=np.isnan(active_fraction_R))
        filled = {
            "request_no": pa.array(number_R.astype(np.uint32)),
            "request_id": self.ids,
            "started_at": self._starts(runs),
            "n_tokens": pa.array(n_tokens_R.astype(np.int32)),
            "text_hash": pc.coalesce(pa.array(hashes, pa.string()), self._column("text_hash")),
            "active_fraction": self.columns.get("active_fraction", active),
            "flops": pc.coalesce(self._column("flops"), zero),
            "flops_dense": pc.coalesce(self._column("flops_dense"), zero),
            "budget": self.columns.get("budget", budgets),
            "mode": pc.coalesce(self._column("mode"), modes),
        }
        return pa.table(
            [filled[name] if name in filled else self._column(name) for name in REQUEST_SCHEMA.names],
            schema=REQUEST_SCHEMA,
        )

    def _starts(self, runs: Sequence[ImportRun]) -> pa.Array:
        starts = [run.started_at.replace(tzinfo=None) if run.started_at else None for run in runs]
        of_run = pa.array(starts, pa.timestamp("us")).take(pa.array(self.run_R))
        return pc.coalesce(self.columns["started_at"], of_run) if "started_at" in self.columns else of_run

    def _column(self, name: str) -> pa.Array:
        return self.columns.get(name, pa.nulls(len(self), REQUEST_SCHEMA.field(name).type))


_CARD_COLUMNS = ("latency_ms", "domain", "attributes", "text", "label", "score", "reference_label", "active_fraction",
                 "flops", "flops_dense", "actor")  # fmt: skip


def read_requests(file: ImportFile, run_ids: Sequence[str]) -> ImportedRequests:
    """Raises InputError naming the first row that cannot be stored."""
    table = file.read()
    faults = RowFaults(file.path, np.arange(file.n_rows))
    ids = _text(faults, "request_id", table.column("request_id"))
    run_R = run_codes(faults, numbered(run_ids), _whole_column(table, "run_id"))
    empty_R = pc.fill_null(pc.equal(pc.utf8_length(ids), 0), True).to_numpy(zero_copy_only=False)
    faults.add(empty_R, lambda i: "request_id is empty; give each request a text that is unique")
    faults.raise_first()
    keys = RequestKeys(run_ids, run_R, ids)
    repeated_R = np.isin(np.arange(len(ids)), keys.repeated())
    faults.add(
        repeated_R, lambda i: f"request_id {text_at(ids, i)} was listed before for the same run; list each request once"
    )
    columns: dict[str, pa.Array] = {}
    has_zone = None
    for name in file.present:
        if name == "started_at":
            columns[name], has_zone = _times(faults, table.column(name))
        elif name == "attributes":
            columns[name] = to_map(faults, utf8(faults, name, _plain(table.column(name))))
        elif name in _LARGEST:
            values_R = whole(faults, name, _whole_column(table, name), 0, _LARGEST[name], "write a count", null=-1)
            columns[name] = pa.array(values_R.astype(np.int64), mask=values_R == -1)
        elif name in _RANGES:
            numbers_R = real(faults, name, _whole_column(table, name), *_RANGES[name])
            columns[name] = pa.array(numbers_R, mask=np.isnan(numbers_R))
        elif name in _TEXTS:
            columns[name] = _text(faults, name, table.column(name))
    faults.raise_first()
    n_tokens = columns.pop("n_tokens", pa.nulls(len(ids), pa.int64()))
    return ImportedRequests(
        file=file,
        keys=keys,
        run_R=run_R,
        ids=ids,
        n_tokens_R=n_tokens.fill_null(UNKNOWN_COUNT).to_numpy(zero_copy_only=False),
        columns=columns,
        has_zone=has_zone,
    )


def _whole_column(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.unify_dictionaries().combine_chunks() if pa.types.is_dictionary(column.type) else _one(column)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Without a dictionary."""
    kind = column.type
    return _one(column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column)


def _text(faults: RowFaults, name: str, column: pa.ChunkedArray) -> pa.Array:
    """As plain strings; bytes that are not UTF-8 are a fault."""
    return utf8(faults, name, _one(column.cast(pa.string())))


def _times(faults: RowFaults, column: pa.ChunkedArray) -> tuple[pa.Array, bool]:
    """-> UTC without a zone mark, and whether the file gives a zone."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        has_zone = pa.types.is_timestamp(column.type) and column.type.tz is not None
        target = pa.timestamp("us", "UTC") if has_zone else pa.timestamp("us")
        values = _one(column.cast(target, safe=False).cast(pa.timestamp("us")))
        micros_R = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        low, high = (int(moment.timestamp()) * 1_000_000 for moment in (_EARLIEST, _LATEST))
        wrong_R = (micros_R < low) | (micros_R > high)
        faults.add(wrong_R, lambda i: f"started_at is {micros_R[i]} us from 1970; write a time of the years 1 to 9999")
        faults.raise_first()
        return values, has_zone
    result: list[datetime | None] = []
    wrong: dict[int, Any] = {}
    has_zone = True
    for row, text in enumerate(_text(faults, "started_at", column).to_pylist()):
        try:
            moment = None if text is None else datetime.fromisoformat(text)
            if moment is not None:
                has_zone = has_zone and moment.tzinfo is not None
                moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            result.append(None if moment is None else moment.replace(tzinfo=None))
        except (ValueError, OverflowError):
            wrong[row] = text
            result.append(None)
    faults.add(
        np.isin(np.arange(len(column)), list(wrong)),
        lambda i: f"started_at is {wrong[i]!r}; write a time such as 2026-03-01T10:30:00Z",
    )
    return pa.array(result, pa.timestamp("us")), has_zone
