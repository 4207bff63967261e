"""Decisions as Arrow columns and back: quantised to 16-bit steps, in types wide enough never to clip.

| column                                  | Arrow type    | coding                                     |
|-----------------------------------------|---------------|--------------------------------------------|
| request_no                              | uint32        | number of the request within its run       |
| position, layer, expert_id, rank        | int32         |                                            |
| selected                                | bool          | what the router did, never re-derived      |
| flags                                   | int32         | `DecisionFlag` bits                        |
| logit, margin                           | int32 or NULL | value x 1,024, rounded                     |
| prob, gate_weight                       | int32 or NULL | value x 65,535, rounded                    |

Parquet stores every integer of up to 32 bits as the same 4 bytes before it compresses them, so that int32 costs no
byte more than int16 (measured: 8.75 bytes per decision both ways): a logit of 40 or a gate weight of 2.5 is stored as
it is, where 16 bits would clip it, and `layer * 1000` does not overflow in somebody's SQL. NaN means "not known" and
becomes NULL. Only infinite logits and margins are stored as the end of the range (about
±2 million); a probability outside [0, 1] or a gate weight beyond ±32,000 is an error of the recorder.

Shape letters: N decisions.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from moe_core.compiled import compiled
from moe_core.errors import LogError
from moe_core.records import RoutingBatch

LOGIT_SCALE = 1024
PROB_SCALE = 65535
MAX_GATE_WEIGHT = 32_000.0
UNKNOWN = np.int32(-(2**31))  # stands for NULL in the integer columns
_INT32_MAX = 2**31 - 1
_PROB_TOLERANCE = 1e-3  # a float32 softmax may end at 1.0000001
_RECORDED = tuple(map(np.dtype, ("u4", "u4", "u2", "u2", "u2", "?", "f4", "f4", "f4", "f4", "u1")))  # of a RoutingBatch

_BUILT = compiled("moe_core.log._quantise")
QUANTISE = None if _BUILT is None else _BUILT.quantise

# One decision as 32 packed bytes, little-endian: what a Merkle leaf is the hash of.
ROW_DTYPE = np.dtype(
    [
        ("request_no", "<u4"),
        ("position", "<i4"),
        ("layer", "<i2"),
        ("expert_id", "<i2"),
        ("rank", "<i2"),
        ("selected", "?"),
        ("flags", "u1"),
        ("logit", "<i4"),
        ("prob", "<i4"),
        ("gate_weight", "<i4"),
        ("margin", "<i4"),
    ]
)
COLUMNS: tuple[str, ...] = tuple(ROW_DTYPE.names or ())
NULLABLE = ("logit", "prob", "gate_weight", "margin")
_ARROW_TYPES = {"request_no": pa.uint32(), "selected": pa.bool_()}
DECISION_SCHEMA = pa.schema(
    [pa.field(name, _ARROW_TYPES.get(name, pa.int32()), nullable=name in NULLABLE) for name in COLUMNS]
)

# What Parquet costs by column, nanoseconds a decision (200,000 decisions of the reference model at budget 0.35, zstd 1,
# least of 5): with dictionaries 139 in all and 6.65 bytes, so 72 and 6.5. The four values have too many different steps
# for a dictionary (20 ns to try), the small numbers compress as well by bytes. DuckDB 2.0 and Spark 4.3 read them.
PARQUET_ENCODINGS = {
    "request_no": "PLAIN", "position": "BYTE_STREAM_SPLIT", "layer": "BYTE_STREAM_SPLIT",
    "expert_id": "BYTE_STREAM_SPLIT", "rank": "BYTE_STREAM_SPLIT", "selected": "PLAIN", "flags": "PLAIN",
    "logit": "DELTA_BINARY_PACKED", "prob": "BYTE_STREAM_SPLIT", "gate_weight": "BYTE_STREAM_SPLIT",
    "margin": "DELTA_BINARY_PACKED",
}  # fmt: skip
PARQUET_UNCOMPRESSED = ("logit", "margin")  # zstd takes 5 ns a decision and less than a hundredth of their bytes


@dataclass(frozen=True, slots=True)
class Decisions:
    """Quantised decisions: `rows_N` has `ROW_DTYPE` and is sorted by (request_no, position, layer, rank)."""

    rows_N: NDArray[np.void]

    def __len__(self) -> int:
        return len(self.rows_N)


def quantise(batch: RoutingBatch, first_request_no: int) -> Decisions:
    """Copies a batch into quantised rows; request `i` of the batch gets number `first_request_no + i`.

    Raises LogError where a value cannot be stored or a key occurs twice. Sorts what is not sorted.
    """
    rows_N = np.empty(len(batch), ROW_DTYPE)
    if _quantised_as_it_is(batch, first_request_no, rows_N):
        return Decisions(rows_N)
    rows_N["request_no"] = batch.request_index_N
    rows_N["request_no"] += np.uint32(first_request_no)
    rows_N["position"] = _fitting("position", batch.position_N, _INT32_MAX)
    rows_N["layer"] = _fitting("layer", batch.layer_N, 2**15 - 1)
    rows_N["expert_id"] = _fitting("expert_id", batch.expert_id_N, 2**15 - 1)
    rows_N["rank"] = _fitting("rank", batch.rank_N, 2**15 - 1)
    rows_N["selected"] = batch.selected_N
    rows_N["flags"] = batch.flags_N
    rows_N["logit"] = _steps(batch.logit_N, LOGIT_SCALE)
    rows_N["margin"] = _steps(batch.margin_N, LOGIT_SCALE)
    prob_N, gate_weight_N = np.asarray(batch.prob_N, np.float64), np.asarray(batch.gate_weight_N, np.float64)
    _refuse_outside("prob", prob_N, -_PROB_TOLERANCE, 1 + _PROB_TOLERANCE)
    _refuse_outside("gate_weight", gate_weight_N, -MAX_GATE_WEIGHT, MAX_GATE_WEIGHT)
    rows_N["prob"] = _steps(np.clip(prob_N, 0.0, 1.0), PROB_SCALE)
    rows_N["gate_weight"] = _steps(gate_weight_N, PROB_SCALE)
    return Decisions(_sorted_and_unique(rows_N))


def to_arrow(decisions: Sequence[Decisions]) -> pa.Table:
    """Rows, one part behind the other -> one Arrow table (`DECISION_SCHEMA`), without a Python object per row."""
    return pa.concat_tables([_table(part.rows_N) for part in decisions or [concatenate([])]])


def _table(rows_N: NDArray[np.void]) -> pa.Table:
    arrays = []
    for name in COLUMNS:
        values_N = rows_N[name].astype(DECISION_SCHEMA.field(name).type.to_pandas_dtype())
        mask_N = values_N == UNKNOWN if name in NULLABLE else None
        arrays.append(pa.array(values_N, mask=mask_N if mask_N is not None and mask_N.any() else None))
    return pa.table(arrays, schema=DECISION_SCHEMA)


def from_arrow(table: pa.Table) -> Decisions:
    """The inverse of `to_arrow`, exact to the bit."""
    rows_N = np.empty(table.num_rows, ROW_DTYPE)
    for name in COLUMNS:
        column = table.column(name)
        if name in NULLABLE:
            column = column.fill_null(int(UNKNOWN))
        rows_N[name] = column.to_numpy()
    return Decisions(rows_N)


def concatenate(decisions: Sequence[Decisions]) -> Decisions:
    if len(decisions) == 1:
        return decisions[0]
    return Decisions(np.concatenate([part.rows_N for part in decisions] or [np.empty(0, ROW_DTYPE)]))


def dequantise(steps_N: NDArray[np.int32], scale: int) -> NDArray[np.float64]:
    """Integer steps -> real numbers, NULL as NaN. The error of a stored value is at most 0.5 / scale."""
    real_N: NDArray[np.float64] = np.where(steps_N == UNKNOWN, np.nan, steps_N / scale)
    return real_N


def _quantised_as_it_is(batch: RoutingBatch, first_request_no: int, rows_N: NDArray[np.void]) -> bool:
    """Fills rows_N in one compiled pass where that was built and the batch is in order; False: nothing is said."""
    columns: tuple[NDArray[Any], ...] = (
        batch.request_index_N, batch.position_N, batch.layer_N, batch.expert_id_N, batch.rank_N, batch.selected_N,
        batch.logit_N, batch.prob_N, batch.gate_weight_N, batch.margin_N, batch.flags_N,
    )  # fmt: skip
    if QUANTISE is None or sys.byteorder != "little":
        return False
    for column, kind in zip(columns, _RECORDED, strict=True):
        if column.dtype != kind or not column.flags.c_contiguous or len(column) != len(rows_N):
            return False
    addresses = (column.ctypes.data for column in columns)
    limits = (LOGIT_SCALE, PROB_SCALE, _PROB_TOLERANCE, MAX_GATE_WEIGHT)
    done = QUANTISE(len(rows_N), first_request_no, rows_N.ctypes.data, *addresses, *limits)
    return bool(done == len(rows_N))


def _steps(values_N: NDArray[np.floating], scale: int) -> NDArray[np.int32]:
    scaled_N = np.multiply(values_N, scale, dtype=np.float64)
    unknown_N = np.isnan(scaled_N)
    np.clip(np.rint(scaled_N, out=scaled_N), -_INT32_MAX, _INT32_MAX, out=scaled_N)
    if unknown_N.any():
        scaled_N[unknown_N] = UNKNOWN
    steps_N: NDArray[np.int32] = scaled_N.astype(np.int32)
    return steps_N


def _fitting(name: str, values_N: NDArray[np.integer], largest: int) -> NDArray[np.integer]:
    for value in (int(values_N.min()), int(values_N.max())) if len(values_N) else ():
        if not 0 <= value <= largest:
            raise LogError(f"A decision has {name} {value}; the log holds 0 to {largest}: check the recorder.")
    return values_N


def _refuse_outside(name: str, values_N: NDArray[np.float64], low: float, high: float) -> None:
    outside_N = (values_N < low) | (values_N > high)
    if outside_N.any():
        value = float(values_N[outside_N][0])
        raise LogError(f"A decision has {name} {value}; the log holds {low:g} to {high:g}: check the recorder.")


def _sorted_and_unique(rows_N: NDArray[np.void]) -> NDArray[np.void]:
    """Rows in the contract's order; raises LogError where (request, position, layer, expert) occurs twice."""
    if len(rows_N) < 2:
        return rows_N
    token_N = rows_N["request_no"].astype(np.uint64) << np.uint64(32) | rows_N["position"].astype(np.uint64)
    within_N = rows_N["layer"].astype(np.uint32) << np.uint32(16) | rows_N["rank"].astype(np.uint32)
    same_N = token_N[1:] == token_N[:-1]
    in_order = (token_N[1:] > token_N[:-1]) | (same_N & (within_N[1:] >= within_N[:-1]))
    if not in_order.all():
        order_N = np.lexsort((within_N, token_N))
        rows_N, token_N = rows_N[order_N], token_N[order_N]
        same_N = token_N[1:] == token_N[:-1]
    same_layer_N = same_N & (rows_N["layer"][1:] == rows_N["layer"][:-1])
    starts = np.concatenate(([0], np.flatnonzero(~same_layer_N) + 1))
    for low in range(0, int(rows_N["expert_id"].max()) + 1, 64):
        _refuse_repeated(rows_N["expert_id"] - low, starts)
    return rows_N


def _refuse_repeated(expert_id_N: NDArray[np.integer], starts: NDArray[np.integer]) -> None:
    """Raises LogError where an expert id of 0 to 63 occurs twice in a group; `starts` are where groups begin."""
    counted_N = (expert_id_N >= 0) & (expert_id_N < 64)
    bits_N = np.where(counted_N, np.uint64(1) << (expert_id_N & 63).astype(np.uint64), np.uint64(0))
    distinct = np.bitwise_count(np.bitwise_or.reduceat(bits_N, starts))
    if (distinct != np.add.reduceat(counted_N, starts, dtype=np.int64)).any():
        raise LogError("Two decisions have the same request, position, layer and expert; record each once.")
