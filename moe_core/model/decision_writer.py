"""Decision records of texts of one or more calls: written by one compiled pass if that was built, else by numpy.

Both ways write the same records, probabilities to rounding.
"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_core.compiled import compiled
from moe_core.model.encoder import PackedTexts
from moe_core.model.router import Routing
from moe_core.records import RoutingBatch

MOST_EXPERTS = 1024  # as in _decisions.c

_BUILT = compiled("moe_core.model._decisions")
WRITE: Any = None if _BUILT is None else _BUILT.write


def fits(routings: Sequence[Routing]) -> bool:
    """Whether the compiled pass was built and reads these routings: of one model, so one of them tells for all."""
    if WRITE is None or not routings:
        return False
    r = routings[0]
    kinds = {t.dtype for t in (r.logits_TE, r.scores_TE, r.thresholds_E, r.gates_TE)}
    return kinds == {torch.float32} and r.gates_TE.shape[1] <= MOST_EXPERTS


def written(parts: Sequence[tuple[PackedTexts, Sequence[Routing]]], n_decisions: int) -> RoutingBatch:
    """Records of several calls, one behind the other; request numbers count on over the calls.

    `n_decisions`: how many they are in all. Raises ValueError if they are not.
    """
    n = n_decisions
    batch = RoutingBatch(
        request_index_N=np.empty(n, np.uint32), position_N=np.empty(n, np.uint32), layer_N=np.empty(n, np.uint16),
        expert_id_N=np.empty(n, np.uint16), rank_N=np.empty(n, np.uint16), selected_N=np.empty(n, np.bool_),
        logit_N=np.empty(n, np.float32), prob_N=np.empty(n, np.float32), gate_weight_N=np.empty(n, np.float32),
        margin_N=np.empty(n, np.float32), flags_N=np.empty(n, np.uint8),
    )  # fmt: skip
    columns = np.array(
        [
            column.ctypes.data
            for column in (
                batch.request_index_N, batch.position_N, batch.layer_N, batch.expert_id_N, batch.rank_N,
                batch.selected_N, batch.logit_N, batch.prob_N, batch.gate_weight_N, batch.margin_N, batch.flags_N,
            )
        ],
        np.int64,
    )  # fmt: skip
    at = first_request = 0
    for texts, routings in parts:
        at = _write(texts, routings, first_request, columns, at, n)
        if at < 0:
            break
        first_request += len(texts.order_B)
    if at != n:
        raise ValueError(f"{n} decisions were announced; the routers took {'more' if at < 0 else at}.")
    return batch


def _write(
    texts: PackedTexts, routings: Sequence[Routing], first_request: int, columns: NDArray[np.int64], at: int,
    capacity: int,
) -> int:  # fmt: skip
    """Records of one call behind place `at`; the place behind them, -1 if there is no room."""
    starts, lengths = _caller_order(texts)
    addresses = array("q")
    kept = []  # copies whose addresses are passed
    for r in routings:
        tensors: tuple[Tensor, ...] = (r.logits_TE, r.scores_TE, r.gates_TE, r.floor_T)
        failover = r.failover_TE
        if not all(map(Tensor.is_contiguous, tensors)) or failover is not None:
            tensors = tuple(t.contiguous() for t in tensors)
            failover = None if failover is None else failover.contiguous()
            kept.append((tensors, failover))
        logits, scores, gates, floor = map(Tensor.data_ptr, tensors)
        thresholds = r.thresholds_E
        token_step, expert_step = thresholds.stride() if thresholds.dim() == 2 else (0, thresholds.stride(0))
        lost = 0 if failover is None else failover.data_ptr()
        addresses.extend((logits, scores, thresholds.data_ptr(), token_step, expert_step, gates, lost, floor))
    return int(
        WRITE(len(starts), starts.buffer_info()[0], lengths.buffer_info()[0], first_request, len(routings),
              routings[0].gates_TE.shape[1], addresses.buffer_info()[0], columns.ctypes.data, at, capacity)
    )  # fmt: skip


def _caller_order(texts: PackedTexts) -> tuple["array[int]", "array[int]"]:
    """Where each text starts among the packed tokens, and how many it has, in the caller's order."""
    starts, lengths = array("q", bytes(8 * len(texts.order_B))), array("q", bytes(8 * len(texts.order_B)))
    start = 0
    for place, length in zip(texts.order_B, texts.lengths_B, strict=True):
        starts[place], lengths[place] = start, length
        start += length
    return starts, lengths
