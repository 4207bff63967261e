"""What one `append` hands over, checked and encoded, so that writing it later cannot fail on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from moe_core.errors import LogError
from moe_core.log import encoding
from moe_core.log.request_encoding import EncodedRequest, encode_request
from moe_core.log.store import Store
from moe_core.records import RequestRecord, RoutingBatch, RunRecord


@dataclass(eq=False, slots=True)
class OpenRun:
    """The run that is being recorded: what was taken over (ids, next number) and what is durable (totals)."""

    record: RunRecord
    request_ids: set[str] = field(default_factory=set)  # an id given twice is refused
    next_request_no: int = 0
    batches: int = 0
    requests: int = 0
    tokens: int = 0
    decisions: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """What one `append` handed over for one day, encoded: its requests and their decisions."""

    run: OpenRun
    day: str
    requests: list[EncodedRequest]
    decisions: encoding.Decisions


def encode_chunks(
    run: OpenRun, store: Store, requests: Sequence[RequestRecord], decisions: RoutingBatch
) -> list[Chunk]:
    """Checks everything that could make a later flush fail, and copies: the caller may use its arrays again."""
    seen: set[str] = set()
    for request in requests:
        if request.request_id in run.request_ids or request.request_id in seen:
            raise LogError(
                f"Request id {request.request_id!r} was given before in run {run.record.run_id!r}; "
                "ids are unique in the store."
            )
        seen.add(request.request_id)
    first = run.next_request_no
    encoded = [encode_request(request, first + i, store) for i, request in enumerate(requests)]
    _check_against(run.record, requests, decisions)
    quantised = encoding.quantise(decisions, first)
    days = sorted({request.day for request in encoded})
    if len(days) == 1:
        return [Chunk(run, days[0], encoded, quantised)]
    chunks = []
    for day in days:
        is_of_day_R = np.array([request.day == day for request in encoded])
        of_day_N = is_of_day_R[quantised.rows_N["request_no"] - np.uint32(first)]
        requests_of_day = [request for request in encoded if request.day == day]
        chunks.append(Chunk(run, day, requests_of_day, encoding.Decisions(quantised.rows_N[of_day_N])))
    return chunks


def _check_against(run: RunRecord, requests: Sequence[RequestRecord], decisions: RoutingBatch) -> None:
    """Raises LogError for a decision that names a request, position, layer or expert that does not exist."""
    if not len(decisions):
        return
    limits = (
        ("request_index", decisions.request_index_N, len(requests), "requests handed over with it"),
        ("layer", decisions.layer_N, run.n_layers, f"layers of run {run.run_id!r}"),
        ("expert_id", decisions.expert_id_N, run.n_experts, f"experts per layer of run {run.run_id!r}"),
    )
    for name, values_N, limit, what in limits:
        if int(values_N.max()) >= limit:
            raise LogError(f"A decision has {name} {int(values_N.max())}, but there are {limit} {what}.")
    n_tokens_R = np.array([request.n_tokens for request in requests])
    beyond_N = decisions.position_N >= n_tokens_R[decisions.request_index_N]
    if beyond_N.any():
        i = int(np.flatnonzero(beyond_N)[0])
        request = requests[int(decisions.request_index_N[i])]
        raise LogError(
            f"A decision has position {int(decisions.position_N[i])}, but request {request.request_id!r} has "
            f"{request.n_tokens} tokens."
        )
