"""`decisions.parquet` of an import: streamed, every row checked, and handed on in portions of whole requests.

A file whose rows come request by request is read once, and no more than a portion of it is in memory. If the rows of
a request are scattered over the file, DuckDB sorts them first; it spills to a temporary folder.

Shape letters: N rows, R requests, S stretches of rows of the same request.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from moe_core.errors import LogError
from moe_core.log.connections import connect_in_memory
from moe_core.log.encoding import LOGIT_SCALE, MAX_GATE_WEIGHT
from moe_core.log.imports.checks import RowFaults, flag, real, whole
from moe_core.log.imports.columns import ImportFile
from moe_core.log.imports.requests import ImportedRequests
from moe_core.log.imports.runs import LARGEST_ID, ImportRun
from moe_core.log.imports.tokens import LARGEST, NO_TOKEN, check_within
from moe_core.records import DecisionFlag

BATCH_ROWS = 2**17
_ALL_FLAGS = sum(DecisionFlag)
_MAX_LOGIT = (2**31 - 1) / LOGIT_SCALE
_SQL = Path(__file__).parents[1] / "sql" / "import" / "sort_decisions.sql"
_ROW = "file_row_number"
_REALS = {
    "logit": (-_MAX_LOGIT, _MAX_LOGIT, f"outside {-_MAX_LOGIT:.0f} to {_MAX_LOGIT:.0f}; write a finite router output"),
    "prob": (0.0, 1.001, "outside 0 to 1; write the softmax of the logits over the experts of the layer"),
    "gate_weight": (-MAX_GATE_WEIGHT, MAX_GATE_WEIGHT,
                    f"outside {-MAX_GATE_WEIGHT:g} to {MAX_GATE_WEIGHT:g}; write the factor on the expert's output"),
    "margin": (-_MAX_LOGIT, _MAX_LOGIT, f"outside {-_MAX_LOGIT:.0f} to {_MAX_LOGIT:.0f}; write score minus threshold"),
}  # fmt: skip


class ScatteredRowsError(Exception):
    """The rows of a request do not stand together; all rows were checked. Never reaches a user."""


@dataclass(frozen=True, eq=False, slots=True)
class DecisionRows:
    """Checked rows. `row_N`: their numbers in the file; `request_N`: rows of requests.parquet. NaN = not known.

    `rank_N` and `token_id_N` are None where the file lacks the column; a token id of -1 is not known.
    """

    row_N: NDArray[np.int64]
    request_N: NDArray[np.int32]
    position_N: NDArray[np.int32]
    layer_N: NDArray[np.int16]
    expert_id_N: NDArray[np.int16]
    rank_N: NDArray[np.int16] | None
    selected_N: NDArray[np.bool_]
    logit_N: NDArray[np.float64]
    prob_N: NDArray[np.float64]
    gate_weight_N: NDArray[np.float64]
    margin_N: NDArray[np.float64]
    flags_N: NDArray[np.uint8]
    token_id_N: NDArray[np.int32] | None

    def __len__(self) -> int:
        return len(self.row_N)

    def __getitem__(self, chosen: Any) -> Self:
        """A slice, or the rows of these numbers."""
        return type(self)(*(_chosen(getattr(self, field.name), chosen) for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: "Sequence[DecisionRows]") -> "DecisionRows":
        if len(parts) == 1:
            return parts[0]
        columns = [[getattr(part, field.name) for part in parts] for field in fields(cls)]
        return cls(*map(_joined, columns))

    def starts_S(self) -> NDArray[np.int64]:
        """Where each stretch of rows of the same request begins."""
        return np.flatnonzero(np.concatenate(([True], self.request_N[1:] != self.request_N[:-1])))


class DecisionReader:
    """Reads a decisions file against the requests and runs that it must belong to."""

    def __init__(self, file: ImportFile, requests: ImportedRequests, runs: Sequence[ImportRun]) -> None:
        self._file = file
        self._requests = requests
        self._runs = runs
        self._limits = {
            "layer": np.array([run.n_layers or LARGEST_ID + 1 for run in runs]),
            "expert_id": np.array([run.n_experts or LARGEST_ID + 1 for run in runs]),
        }

    def whole_requests(self) -> Iterator[DecisionRows]:
        """Raises InputError for the first row that cannot be stored, ScatteredRowsError where rows must be sorted."""
        checked = self._in_file_order()
        seen_R = np.zeros(len(self._requests), np.bool_)
        for rows in _cut_between_requests(checked):
            request_S = rows.request_N[rows.starts_S()]
            if seen_R[request_S].any() or len(np.unique(request_S)) < len(request_S):
                for _ in checked:
                    pass  # each row is checked as it is read, so the first wrong one is named
                raise ScatteredRowsError
            seen_R[request_S] = True
            yield rows

    def sorted_requests(self) -> Iterator[DecisionRows]:
        """The same for a file in any order; its rows were checked before."""
        return _cut_between_requests(self._sorted())

    def _in_file_order(self) -> Iterator[DecisionRows]:
        first = 0
        for batch in self._file.batches(BATCH_ROWS):
            yield self._checked(batch, np.arange(first, first + len(batch)))
            first += len(batch)

    def _sorted(self) -> Iterator[DecisionRows]:
        names = ", ".join(f'"{name}"' for name in self._file.present)
        sql = _SQL.read_text(encoding="utf-8").replace("{COLUMNS}", names)
        with tempfile.TemporaryDirectory(prefix="routelens-import-") as folder:
            connection = connect_in_memory(folder)
            try:
                for batch in connection.sql(sql, params={"path": str(self._file.path)}).to_arrow_reader(BATCH_ROWS):
                    yield self._checked(batch, batch.column(_ROW).to_numpy())
            except (duckdb.Error, pa.ArrowException) as error:
                reason = str(error).splitlines()[0]
                raise LogError(
                    f"Cannot sort {self._file.path} by request in {folder} ({reason}); free some space there, or write "
                    "the rows request by request."
                ) from None
            finally:
                connection.close()

    def _checked(self, batch: pa.RecordBatch, row_N: NDArray[np.int64]) -> DecisionRows:
        faults = RowFaults(self._file.path, row_N)
        present = self._file.present
        request_N = self._requests.keys.locate(faults, batch.column("run_id"), batch.column("request_id"))
        integers: dict[str, NDArray[Any]] = {
            "position": whole(faults, "position", batch.column("position"), 0, LARGEST - 1, "positions count from 0"),
            "layer": whole(faults, "layer", batch.column("layer"), 0, LARGEST_ID, "layers count from 0"),
            "expert_id": whole(faults, "expert_id", batch.column("expert_id"), 0, LARGEST_ID, "experts count from 0"),
        }
        if "rank" in present:
            integers["rank"] = whole(faults, "rank", batch.column("rank"), 0, LARGEST_ID, "0 is the highest score")
        if "flags" in present:
            integers["flags"] = whole(faults, "flags", batch.column("flags"), 0, _ALL_FLAGS, "write DecisionFlag bits")
        if "token_id" in present:
            remedy = "write the token's number, or NULL"
            integers["token_id"] = whole(
                faults, "token_id", batch.column("token_id"), 0, LARGEST, remedy, null=NO_TOKEN
            )
        reals = {
            name: real(faults, name, batch.column(name), *_REALS[name]) if name in present else _unknown(len(batch))
            for name in _REALS
        }
        selected_N = flag(faults, "selected", batch.column("selected")) if "selected" in present else None
        self._check_limits(faults, request_N, integers)
        check_within(faults, self._requests, request_N, integers["position"])
        faults.raise_first()
        return DecisionRows(
            row_N=row_N,
            request_N=request_N,
            position_N=integers["position"].astype(np.int32),
            layer_N=integers["layer"].astype(np.int16),
            expert_id_N=integers["expert_id"].astype(np.int16),
            rank_N=integers["rank"].astype(np.int16) if "rank" in integers else None,
            selected_N=np.ones(len(batch), np.bool_) if selected_N is None else selected_N,
            logit_N=reals["logit"],
            prob_N=reals["prob"],
            gate_weight_N=reals["gate_weight"],
            margin_N=reals["margin"],
            flags_N=integers["flags"].astype(np.uint8) if "flags" in integers else np.zeros(len(batch), np.uint8),
            token_id_N=integers["token_id"].astype(np.int32) if "token_id" in integers else None,
        )

    def _check_limits(self, faults: RowFaults, request_N: NDArray[np.int32], integers: dict[str, NDArray[Any]]) -> None:
        """A layer or expert that the run does not have is a fault."""
        for name, what in (("layer", "n_layers"), ("expert_id", "n_experts")):
            values_N, limits = integers[name], self._limits[name]
            if not len(values_N) or values_N.max() < limits.min():
                continue
            run_N = self._requests.run_R[request_N]
            faults.add(
                values_N >= limits[run_N],
                lambda i, name=name, what=what, values_N=values_N, limits=limits, run_N=run_N: (  # type: ignore[misc]
                    f"{name} is {values_N[i]}, but run {self._runs[run_N[i]].run_id!r} has {what} {limits[run_N[i]]}; "
                    f"ids count from 0: mend the row or {what} in runs.json"
                ),
            )


def _chosen(array: Any, chosen: Any) -> Any:
    return None if array is None else array[chosen]


def _joined(arrays: Sequence[Any]) -> Any:
    return None if arrays[0] is None else np.concatenate(arrays)


def _unknown(n: int) -> NDArray[np.float64]:
    return np.full(n, np.nan)


def _cut_between_requests(parts: Iterator[DecisionRows]) -> Iterator[DecisionRows]:
    """The same rows, in portions that end where a request ends."""
    held: list[DecisionRows] = []
    for rows in parts:
        if not len(rows):
            continue
        last = int(rows.starts_S()[-1])
        if held and last == 0 and rows.request_N[0] == held[0].request_N[0]:
            held.append(rows)
            continue
        complete = [*held, rows[:last]] if last else held
        if complete:
            yield DecisionRows.concatenate(complete)
        held = [rows[last:]]
    if held:
        yield DecisionRows.concatenate(held)
