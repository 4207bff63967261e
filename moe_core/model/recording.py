"""Turns what the routers decided into decision records. Runs after the answer, without an object per token."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.model import decision_writer
from moe_core.model.encoder import PackedTexts
from moe_core.model.router import Routing
from moe_core.records import AnsweredRequests, DecisionFlag, RequestRecord, RoutingBatch

BEHIND = 1024.0  # larger than any margin
TIE = 2.0**-40  # smaller than any difference of margins that is stored, large enough for float64 beside a margin


@dataclass(frozen=True, slots=True)
class Answered:
    """Texts answered together, and what the routers decided: `AnsweredRequests` of `records.py`.

    `make_requests` makes the records of the requests; it is called at most once.
    """

    request_ids: Sequence[str]
    texts: PackedTexts
    routings: Sequence[Routing]
    n_decisions: int
    make_requests: Callable[[], Sequence[RequestRecord]]

    def __len__(self) -> int:
        return self.n_decisions

    @property
    def n_tokens(self) -> int:
        return sum(self.texts.lengths_B)

    def requests(self) -> Sequence[RequestRecord]:
        return self.make_requests()

    def decisions(self, others: Sequence[AnsweredRequests]) -> RoutingBatch:
        """Raises TypeError for requests of another kind of recorder."""
        parts = [self]
        for other in others:
            if not isinstance(other, Answered):
                raise TypeError(f"{type(other).__name__} cannot be recorded together with requests of this model.")
            parts.append(other)
        if not self.routings:
            return RoutingBatch.empty()
        if decision_writer.fits(self.routings):
            return decision_writer.written([(p.texts, p.routings) for p in parts], sum(len(p) for p in parts))
        if len(parts) == 1:
            return decisions_of(self.texts, self.routings, range(len(self.texts.order_B)))
        texts = _behind_each_other([part.texts for part in parts])
        routings = [_joined(layer) for layer in zip(*(part.routings for part in parts), strict=True)]
        return decisions_of(texts, routings, range(len(texts.order_B)))


def _behind_each_other(parts: Sequence[PackedTexts]) -> PackedTexts:
    """Texts of several calls as those of one: numbered on, not sorted by length."""
    offsets = accumulate((len(part.order_B) for part in parts), initial=0)
    return PackedTexts(
        ids_T=torch.cat([part.ids_T for part in parts]),
        position_T=torch.cat([part.position_T for part in parts]),
        groups=tuple(chain.from_iterable(part.groups for part in parts)),
        order_B=tuple(offset + place for offset, part in zip(offsets, parts, strict=False) for place in part.order_B),
        lengths_B=tuple(chain.from_iterable(part.lengths_B for part in parts)),
    )


def _joined(parts: Sequence[Routing]) -> Routing:
    """One layer's routing of several calls."""
    first = parts[0]
    thresholds = first.thresholds_E
    if any(part.thresholds_E is not thresholds for part in parts):
        thresholds = torch.cat([part.thresholds_E.expand_as(part.scores_TE) for part in parts])
    failover = None
    if any(part.failover_TE is not None for part in parts):
        missing = (
            torch.zeros_like(p.gates_TE, dtype=torch.bool) if p.failover_TE is None else p.failover_TE for p in parts
        )
        failover = torch.cat(list(missing))
    return Routing(
        logits_TE=torch.cat([part.logits_TE for part in parts]),
        scores_TE=torch.cat([part.scores_TE for part in parts]),
        thresholds_E=thresholds,
        gates_TE=torch.cat([part.gates_TE for part in parts]),
        floor_T=torch.cat([part.floor_T for part in parts]),
        failover_TE=failover,
    )


def decisions_of(texts: PackedTexts, routings: Sequence[Routing], request_index_B: Sequence[int]) -> RoutingBatch:
    """One record for every expert that ran, plus one for the best that did not, per token and layer.

    `request_index_B[i]` is the number under which the i-th text (caller's order) is handed to the sink.
    Rank counts by margin: 0 is the expert furthest above its threshold. A lost expert counts among those that did not
    run, with the margin it had: above 0 if it would have run.
    """
    token_T, request_T, position_T = _caller_order(texts, request_index_B)
    order_T = torch.from_numpy(token_T)

    def by_token(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack(list(parts), dim=1).index_select(0, order_T)

    logits = by_token([r.logits_TE for r in routings])
    logits_TLE, prob_TLE = logits.numpy(), torch.softmax(logits, dim=2).numpy()
    margins_TLE = by_token([r.margins_TE for r in routings]).numpy()
    gates_TLE = by_token([r.gates_TE for r in routings]).numpy()
    n_tokens, n_layers, n_experts = gates_TLE.shape
    # One sort of numbers that are never equal: experts that ran first, then by margin, then by number.
    ran_TLE = gates_TLE > 0
    key_TLE = (~ran_TLE).astype(np.float64)
    key_TLE *= BEHIND
    key_TLE -= margins_TLE
    key_TLE += TIE * np.arange(n_experts)
    order_TLE = np.argsort(key_TLE, axis=2)
    kept_TL = np.minimum(np.count_nonzero(ran_TLE, axis=2) + 1, n_experts).ravel()
    row_N = np.repeat(np.arange(n_tokens * n_layers), kept_TL)
    rank_N = np.arange(len(row_N)) - (np.cumsum(kept_TL) - kept_TL)[row_N]
    expert_N = order_TLE.ravel().take(row_N * n_experts + rank_N)
    at_N, token_N = row_N * n_experts + expert_N, row_N // n_layers
    selected_N = ran_TLE.ravel().take(at_N)
    return RoutingBatch(
        request_index_N=request_T.astype(np.uint32).take(token_N),
        position_N=position_T.astype(np.uint32).take(token_N),
        layer_N=(row_N - token_N * n_layers).astype(np.uint16),
        expert_id_N=expert_N.astype(np.uint16),
        rank_N=rank_N.astype(np.uint16),
        selected_N=selected_N,
        logit_N=logits_TLE.ravel().take(at_N),
        prob_N=prob_TLE.ravel().take(at_N),
        gate_weight_N=gates_TLE.ravel().take(at_N),
        margin_N=margins_TLE.ravel().take(at_N),
        flags_N=_flags(routings, token_T, row_N, rank_N, expert_N, selected_N),
    )


def _flags(
    routings: Sequence[Routing], token_T: NDArray[np.int64], row_N: NDArray[np.int64], rank_N: NDArray[np.int64],
    expert_N: NDArray[np.int64], selected_N: NDArray[np.bool_],
) -> NDArray[np.uint8]:  # fmt: skip
    """DecisionFlag bits; row_N counts (token, layer) in the caller's order."""
    flags_N = np.zeros(len(row_N), np.uint8)
    layer_N, packed_N = row_N % len(routings), token_T[row_N // len(routings)]
    for layer, routing in enumerate(routings):
        if bool(routing.floor_T.any()):
            at = np.flatnonzero((layer_N == layer) & selected_N & (rank_N == 0))
            flags_N[at[routing.floor_T.numpy()[packed_N[at]]]] |= int(DecisionFlag.FLOOR)
        if routing.failover_TE is not None:
            at = np.flatnonzero(layer_N == layer)
            flags_N[at[routing.failover_TE.numpy()[packed_N[at], expert_N[at]]]] |= int(DecisionFlag.FAILOVER)
    return flags_N


def counted(texts: PackedTexts, routings: Sequence[Routing]) -> list[int]:
    """How many decisions `decisions_of` would make of each text, in the caller's order, without making them."""
    n_experts = routings[0].gates_TE.shape[1]
    per_token_T = sum(((r.gates_TE > 0).sum(dim=1) + 1).clamp(max=n_experts) for r in routings)
    assert isinstance(per_token_T, torch.Tensor)
    return sums_per_text(texts, per_token_T)


def sums_per_text(texts: PackedTexts, values_T: torch.Tensor) -> list[int]:
    """Whole numbers of packed tokens, summed over each text, in the caller's order."""
    sums_B = [0] * len(texts.order_B)
    for place, part in zip(texts.order_B, torch.split(values_T, list(texts.lengths_B)), strict=True):
        sums_B[place] = int(part.sum())
    return sums_B


def _caller_order(
    texts: PackedTexts, request_index_B: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Packed token numbers sorted by (request, position), with the request and position of each."""
    request_of_B = np.asarray([request_index_B[i] for i in texts.order_B], dtype=np.int64)
    request_T = np.repeat(request_of_B, np.asarray(texts.lengths_B))
    position_T = texts.position_T.numpy()
    token_T = np.lexsort((position_T, request_T))
    return token_T, request_T[token_T], position_T[token_T]
