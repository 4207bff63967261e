"""Turns what the routers decided into decision records. Runs after the answer, without an object per token."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.model.encoder import PackedTexts
from moe_core.model.router import Routing
from moe_core.records import DecisionFlag, RoutingBatch


def decisions_of(texts: PackedTexts, routings: Sequence[Routing], request_index_B: Sequence[int]) -> RoutingBatch:
    """One record for every expert that ran, plus one for the best that did not, per token and layer.

    `request_index_B[i]` is the number under which the i-th text (caller's order) is handed to the sink.
    Rank counts by margin: 0 is the expert furthest above its threshold. A lost expert counts among those that did not
    run, with the margin it had: above 0 if it would have run.
    """
    logits_LTE = torch.stack([r.logits_TE for r in routings]).numpy()
    margins_LTE = torch.stack([r.margins_TE for r in routings]).numpy()
    gates_LTE = torch.stack([r.gates_TE for r in routings]).numpy()
    floor_LT = torch.stack([r.floor_T for r in routings]).numpy()
    token_T, request_T, position_T = _caller_order(texts, request_index_B)
    n_experts = gates_LTE.shape[2]
    # (T, L, E): sorted by token, then layer, then margin; experts that ran come first.
    ran_TLE = (gates_LTE > 0).transpose(1, 0, 2)[token_T]
    margins_TLE = margins_LTE.transpose(1, 0, 2)[token_T]
    order_TLE = np.lexsort((-margins_TLE, ~ran_TLE), axis=2)
    kept_TL = np.minimum(ran_TLE.sum(axis=2) + 1, n_experts)
    keep_TLE = np.arange(n_experts) < kept_TL[:, :, None]
    row_N, layer_N, rank_N = np.nonzero(keep_TLE)
    expert_N = order_TLE[row_N, layer_N, rank_N]
    packed_N = token_T[row_N]
    logit_N = logits_LTE[layer_N, packed_N, expert_N]
    shifted_LTE = np.exp(logits_LTE - logits_LTE.max(axis=2, keepdims=True))
    sum_LT = shifted_LTE.sum(axis=2)
    selected_N = ran_TLE[row_N, layer_N, expert_N]
    floor_N = selected_N & (rank_N == 0) & floor_LT[layer_N, packed_N]
    flags_N = np.where(floor_N, int(DecisionFlag.FLOOR), 0)
    for layer, routing in enumerate(routings):
        if routing.failover_TE is not None:
            at = np.flatnonzero(layer_N == layer)
            stands_in = routing.failover_TE.numpy()[packed_N[at], expert_N[at]]
            flags_N[at[stands_in]] |= int(DecisionFlag.FAILOVER)
    return RoutingBatch(
        request_index_N=request_T[row_N].astype(np.uint32),
        position_N=position_T[row_N].astype(np.uint32),
        layer_N=layer_N.astype(np.uint16),
        expert_id_N=expert_N.astype(np.uint16),
        rank_N=rank_N.astype(np.uint16),
        selected_N=selected_N,
        logit_N=logit_N.astype(np.float32),
        prob_N=(shifted_LTE[layer_N, packed_N, expert_N] / sum_LT[layer_N, packed_N]).astype(np.float32),
        gate_weight_N=gates_LTE[layer_N, packed_N, expert_N].astype(np.float32),
        margin_N=margins_LTE[layer_N, packed_N, expert_N].astype(np.float32),
        flags_N=flags_N.astype(np.uint8),
    )


def _caller_order(
    texts: PackedTexts, request_index_B: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Packed token numbers sorted by (request, position), with the request and position of each."""
    request_of_B = np.asarray([request_index_B[i] for i in texts.order_B], dtype=np.int64)
    request_T = np.repeat(request_of_B, np.asarray(texts.lengths_B))
    position_T = texts.position_T.numpy()
    token_T = np.lexsort((position_T, request_T))
    return token_T, request_T[token_T], position_T[token_T]
