"""What one batch adds to the rollups, counted in one pass over its decisions.

Everything is a sum of whole numbers over cells: (hour, domain, layer, expert), (domain, layer, number of experts that
ran), (layer, pair of experts). Each cell has a number, and `np.bincount` adds up per number; a GROUP BY of DuckDB over
the same columns took two to three times as long, a read of the file each.

Shape letters: N decisions, P places (a token in a layer), R requests, G groups (hour and domain), C cells.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from moe_core.errors import SegmentError
from moe_core.log.cells import Integers, count_of, numbered
from moe_core.log.coactivation import count_pairs
from moe_core.log.document_sums import DocumentSums, sums_over_documents
from moe_core.records import DecisionFlag

DECISION_COLUMNS = (
    "request_no", "position", "layer", "expert_id", "selected", "flags", "prob", "gate_weight", "margin",
)  # fmt: skip
_COUNTED_FLAGS = {
    "floor_n": DecisionFlag.FLOOR.value,
    "failover_n": DecisionFlag.FAILOVER.value,
    "dropped_n": DecisionFlag.DROPPED.value,
}
HOUR_US = 3_600_000_000
ROWS_AT_ONCE = 1 << 20  # `np.bincount` adds in float64, which is exact for so many 32-bit numbers


@dataclass(frozen=True, slots=True)
class BatchSums:
    """Tables in the columns of `load_sums`, `active_sums` and `pair_sums`, without `run_id`; and the sums over
    documents."""

    load: pa.Table
    active: pa.Table
    pairs: pa.Table
    documents: DocumentSums


@dataclass(frozen=True, slots=True)
class _Groups:
    """`group_R`: the number of the group of each request; `hour_G` (UTC) and `domain_G` say what a number means."""

    group_R: Integers
    hour_G: pa.Array
    domain_G: pa.Array


def sums_of_batch(decisions: pa.Table, requests: pa.Table) -> BatchSums:
    """`decisions`: `DECISION_COLUMNS` of a segment, sorted as segments are; `requests`: at least request_no,
    request_id, started_at, domain. Raises SegmentError where a decision belongs to none of the requests."""
    request_N, position_N, layer_N, expert_N, selected_N = (decisions.column(i).to_numpy() for i in range(5))
    starts_P = _starts(request_N, position_N, layer_N)
    groups = _groups(requests)
    row_P = _row_of(request_N[starts_P], requests)
    group_P = groups.group_R[row_P]
    layer_P = layer_N[starts_P].astype(np.int64)
    active_P = np.add.reduceat(selected_N, starts_P, dtype=np.int64) if len(starts_P) else np.empty(0, np.int64)
    size_P = np.diff(starts_P, append=len(request_N))
    n_layers, n_experts = count_of(layer_P), count_of(expert_N)
    cell_N = np.repeat((group_P * n_layers + layer_P) * n_experts, size_P) + expert_N
    bounds_P = np.concatenate(([0], np.cumsum(active_P)))
    pairs = count_pairs(bounds_P, layer_P, expert_N[selected_N])
    return BatchSums(
        load=_load(decisions, selected_N, cell_N, groups, n_layers, n_experts),
        active=_active(group_P, layer_P, active_P, groups),
        pairs=pa.table({"layer": pairs.layer, "first": pairs.first, "second": pairs.second, "n": pairs.n}),
        documents=sums_over_documents(row_P, layer_P, active_P, expert_N[selected_N], requests),
    )


def _load(
    decisions: pa.Table, selected_N: NDArray[np.bool_], cell_N: Integers, groups: _Groups, n_layers: int, n_experts: int
) -> pa.Table:
    """One row per expert of a layer, hour and domain that stands in a decision, whether it ran there or not."""
    cell_C, number_N = numbered(cell_N, len(groups.hour_G) * n_layers * n_experts)
    in_all_C = np.bincount(number_N, minlength=len(cell_C))
    ran_N = number_N[selected_N]
    n_C = np.bincount(ran_N, minlength=len(cell_C))
    group_C, place_C = np.divmod(cell_C, n_layers * n_experts)
    columns = {
        "hour": groups.hour_G.take(pa.array(group_C)),
        "layer": place_C // n_experts,
        "expert_id": place_C % n_experts,
        "domain": groups.domain_G.take(pa.array(group_C)),
        "n": n_C,
    }
    for name, column in (("gate_steps", "gate_weight"), ("prob_steps", "prob"), ("margin_steps", "margin")):
        columns[name], known_C = _sums(decisions.column(column), selected_N, ran_N, n_C)
    columns["margin_n"] = known_C  # of the last one
    flags_N = decisions.column("flags").to_numpy()[selected_N]
    for name, flag in _COUNTED_FLAGS.items():
        columns[name] = np.bincount(ran_N[np.flatnonzero(flags_N & flag)], minlength=len(cell_C))
    columns["n_runner_up"] = in_all_C - n_C
    return pa.table(columns).filter(pa.array(in_all_C > 0))


def _active(group_P: Integers, layer_P: Integers, active_P: Integers, groups: _Groups) -> pa.Table:
    """One row per hour, domain, layer and number of experts that a token ran there; 0 is one of the numbers."""
    n_layers, n_numbers = count_of(layer_P), count_of(active_P)
    cell_P = (group_P * n_layers + layer_P) * n_numbers + active_P
    cell_C, number_P = numbered(cell_P, len(groups.hour_G) * n_layers * n_numbers)
    tokens_C = np.bincount(number_P, minlength=len(cell_C))
    group_C, rest_C = np.divmod(cell_C, n_layers * n_numbers)
    columns = {
        "layer": rest_C // n_numbers,
        "domain": groups.domain_G.take(pa.array(group_C)),
        "num_active": rest_C % n_numbers,
        "tokens": tokens_C,
    }
    return pa.table(columns).filter(pa.array(tokens_C > 0))


def _sums(
    column: pa.ChunkedArray, selected_N: NDArray[np.bool_], cell_N: Integers, n_C: Integers
) -> tuple[pa.Array, Integers]:
    """-> (sum of what is known in each cell, NULL where nothing is; how many are known). `cell_N`: of the selected."""
    known_C = n_C
    if column.null_count:
        known_N = column.is_valid().to_numpy()[selected_N]
        known_C = np.bincount(cell_N[known_N], minlength=len(n_C))
        column = column.fill_null(0)
    values_N = column.to_numpy()[selected_N]
    total_C = np.zeros(len(n_C), np.int64)
    for low in range(0, len(values_N), ROWS_AT_ONCE):
        rows = slice(low, low + ROWS_AT_ONCE)
        total_C += np.bincount(cell_N[rows], values_N[rows], minlength=len(n_C)).astype(np.int64)
    return pa.array(total_C, mask=known_C == 0), known_C


def _starts(*columns_N: NDArray[np.integer]) -> Integers:
    """Where a row differs from the row before it in one of the columns; the first row does."""
    begins_N = np.zeros(len(columns_N[0]), np.bool_)
    begins_N[:1] = True
    for column_N in columns_N:
        begins_N[1:] |= column_N[1:] != column_N[:-1]
    return np.flatnonzero(begins_N)


def _row_of(request_P: NDArray[np.integer], requests: pa.Table) -> Integers:
    """The row of each request number among the requests."""
    number_R = requests.column("request_no").to_numpy()
    order_R = np.argsort(number_R, kind="stable")
    row_P = np.searchsorted(number_R, request_P, sorter=order_R)
    row_P = np.append(order_R, -1)[row_P]
    if not np.array_equal(np.append(number_R, 0)[row_P], request_P):
        raise SegmentError("A segment has decisions of a request that is not in its batch; run `routelens verify`.")
    return row_P


def _groups(requests: pa.Table) -> _Groups:
    domain = requests.column("domain").combine_chunks().dictionary_encode(null_encoding="encode")
    hour_R = requests.column("started_at").cast(pa.int64()).to_numpy() // HOUR_US
    code_R = domain.indices.to_numpy().astype(np.int64)
    n_domains = max(1, len(domain.dictionary))
    cell_G, group_R = np.unique(hour_R * n_domains + code_R, return_inverse=True)
    hour_G, domain_G = np.divmod(cell_G, n_domains)
    hours = pa.array(hour_G * HOUR_US).cast(pa.timestamp("us"))
    return _Groups(group_R, hours, domain.dictionary.take(pa.array(domain_G)))
