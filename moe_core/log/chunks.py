"""What one `append` hands over, checked and encoded, so that writing it later cannot fail on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from moe_core.errors import LogError
from moe_core.log import encoding
from moe_core.log.request_encoding import EncodedRequest, encode_request
from moe_core.log.store import Store
from moe_core.log.unrecorded import Unrecorded
from moe_core.records import AnsweredRequests, RequestRecord, RoutingBatch, RunRecord


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
    """What one `append` handed over for one day: its requests and their decisions, encoded."""

    run: OpenRun
    day: str
    requests: list[EncodedRequest]
    decisions: encoding.Decisions

    @property
    def weight(self) -> int:
        """What it counts in the queue: its decisions; its tokens where a dense run makes none."""
        return max(len(self.decisions), sum(len(request.token_ids_T) for request in self.requests))


@dataclass(frozen=True, eq=False, slots=True)
class AnsweredChunk:
    """What one `append_later` handed over: not records yet. Its requests are numbered from `first_request_no`."""

    run: OpenRun
    first_request_no: int
    answered: AnsweredRequests

    @property
    def weight(self) -> int:
        return max(len(self.answered), self.answered.n_tokens)


def size_of(answered: AnsweredRequests) -> Unrecorded:
    """How much is not in the log if these cannot be stored."""
    return Unrecorded(requests=len(answered.request_ids), tokens=answered.n_tokens, decisions=len(answered))


def encode_chunks(
    run: OpenRun, store: Store, requests: Sequence[RequestRecord], decisions: RoutingBatch
) -> list[Chunk]:
    """Checks everything that could make a later flush fail, and copies: the caller may use its arrays again."""
    refuse_known_ids(run, [request.request_id for request in requests])
    return _chunks(run, store, run.next_request_no, requests, decisions)


def refuse_known_ids(run: OpenRun, request_ids: Sequence[str]) -> None:
    """Raises LogError for a request id that was given before, or is given twice."""
    seen: set[str] = set()
    for request_id in request_ids:
        if request_id in run.request_ids or request_id in seen:
            raise LogError(
                f"Request id {request_id!r} was given before in run {run.record.run_id!r}; ids are unique in the store."
            )
        seen.add(request_id)


def made(chunks: Sequence[Chunk | AnsweredChunk], store: Store) -> list[Chunk]:
    """The same, all of them encoded: those answered one behind the other in one go.

    Raises LogError where a request cannot be stored, or decisions do not fit their requests.
    """
    result: list[Chunk] = []
    stretch: list[AnsweredChunk] = []
    for chunk in chunks:
        if isinstance(chunk, AnsweredChunk) and (not stretch or _follows(chunk, stretch[-1])):
            stretch.append(chunk)
            continue
        result += _made_together(stretch, store)
        stretch = []
        if isinstance(chunk, AnsweredChunk):
            stretch.append(chunk)
        else:
            result.append(chunk)
    return result + _made_together(stretch, store)


def _follows(chunk: AnsweredChunk, before: AnsweredChunk) -> bool:
    """Whether its requests are numbered on from those of the chunk before."""
    next_request_no = before.first_request_no + len(before.answered.request_ids)
    return chunk.run is before.run and chunk.first_request_no == next_request_no


def _made_together(stretch: Sequence[AnsweredChunk], store: Store) -> list[Chunk]:
    if not stretch:
        return []
    requests = [request for chunk in stretch for request in chunk.answered.requests()]
    decisions = stretch[0].answered.decisions([chunk.answered for chunk in stretch[1:]])
    return _chunks(stretch[0].run, store, stretch[0].first_request_no, requests, decisions)


def _chunks(
    run: OpenRun, store: Store, first: int, requests: Sequence[RequestRecord], decisions: RoutingBatch
) -> list[Chunk]:
    """One a day. The first request gets number `first`."""
    encoded = [encode_request(request, first + i, store) for i, request in enumerate(requests)]
    _check_against(run.record, encoded, decisions)
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


def _check_against(run: RunRecord, requests: Sequence[EncodedRequest], decisions: RoutingBatch) -> None:
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
