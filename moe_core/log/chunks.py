"""What one `append` hands over, checked and encoded, so that writing it later cannot fail on it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from moe_core.errors import LogError
from moe_core.log import encoding
from moe_core.log.request_encoding import EncodedRequest, encode_request
from moe_core.log.store import Store
from moe_core.records import RequestRecord, RoutingBatch, RunRecord, TakenDecisions


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
    """What one `append` handed over for one day: its requests, encoded, and their decisions, encoded or as they were
    taken."""

    run: OpenRun
    day: str
    requests: list[EncodedRequest]
    decisions: encoding.Decisions | TakenDecisions

    @property
    def weight(self) -> int:
        """What it counts in the queue: its decisions; its tokens where a dense run makes none."""
        return max(len(self.decisions), sum(len(request.token_ids_T) for request in self.requests))


def encode_chunks(
    run: OpenRun, store: Store, requests: Sequence[RequestRecord], decisions: RoutingBatch
) -> list[Chunk]:
    """Checks everything that could make a later flush fail, and copies: the caller may use its arrays again."""
    encoded = _encode_requests(run, store, requests)
    first = run.next_request_no
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


def encode_later(
    run: OpenRun, store: Store, requests: Sequence[RequestRecord], decisions: TakenDecisions
) -> list[Chunk]:
    """Requests are checked and encoded now; decisions by `made`, with those of other chunks. A flush can then fail only
    on what a recorder must never hand over."""
    encoded = _encode_requests(run, store, requests)
    if len({request.day for request in encoded}) > 1:
        return encode_chunks(run, store, requests, decisions.together(()))
    return [Chunk(run, encoded[0].day, encoded, decisions)] if encoded else []


def decisions_together(chunks: Sequence[Chunk]) -> encoding.Decisions:
    """All decisions of chunks of one run and day, encoded. Raises LogError as `made` does."""
    parts = [chunk.decisions for chunk in made(chunks)]
    return encoding.concatenate([part for part in parts if isinstance(part, encoding.Decisions)])


def made(chunks: Sequence[Chunk]) -> list[Chunk]:
    """The same with all decisions encoded: those taken one behind the other, of one run and day, in one go.

    Raises LogError for decisions that do not fit their requests.
    """
    result: list[Chunk] = []
    stretch: list[Chunk] = []
    for chunk in chunks:
        taken = not isinstance(chunk.decisions, encoding.Decisions)
        if stretch and not (taken and _follows(chunk, stretch[-1])):
            result.append(_made_together(stretch))
            stretch = []
        if taken:
            stretch.append(chunk)
        else:
            result.append(chunk)
    return [*result, _made_together(stretch)] if stretch else result


def _follows(chunk: Chunk, before: Chunk) -> bool:
    """Whether its requests are numbered on from those of the chunk before."""
    same = chunk.run is before.run and chunk.day == before.day
    return same and chunk.requests[0].row[0] == before.requests[-1].row[0] + 1


def _made_together(stretch: Sequence[Chunk]) -> Chunk:
    first, *others = (chunk.decisions for chunk in stretch)
    assert not isinstance(first, encoding.Decisions)
    batch = first.together([other for other in others if not isinstance(other, encoding.Decisions)])
    requests = [request for chunk in stretch for request in chunk.requests]
    run, day = stretch[0].run, stretch[0].day
    _check_against(run.record, requests, batch)
    return Chunk(run, day, requests, encoding.quantise(batch, requests[0].row[0]))


def _encode_requests(run: OpenRun, store: Store, requests: Sequence[RequestRecord]) -> list[EncodedRequest]:
    """Raises LogError for a request that cannot be stored, or whose id was given before."""
    seen: set[str] = set()
    for request in requests:
        if request.request_id in run.request_ids or request.request_id in seen:
            raise LogError(
                f"Request id {request.request_id!r} was given before in run {run.record.run_id!r}; "
                "ids are unique in the store."
            )
        seen.add(request.request_id)
    return [encode_request(request, run.next_request_no + i, store) for i, request in enumerate(requests)]


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
