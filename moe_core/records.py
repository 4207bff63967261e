"""What travels from the model to the log: runs, requests and decisions as plain numpy data.

A *recorder* produces these records, a *sink* stores them. Neither knows the other, and this module
needs only numpy, so that the log layer never loads torch and the model layer never loads DuckDB.

Shape letters: N decisions in the batch, T tokens of one request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntFlag
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class DecisionFlag(IntFlag):
    """Bits of a decision's `flags` column. 0 means: an ordinary decision of a live model."""

    NONE = 0
    FLOOR = 1  # ran although below its threshold, because at least one expert must run
    FAILOVER = 2  # ran in place of an expert that was not available
    DROPPED = 4  # chosen, but dropped (capacity)
    SHARED = 8  # an expert that always runs
    IMPORTED = 16  # came from an import, not from a live recorder


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run: a stretch of requests answered by one model with one setting.

    `started_at` is timezone-aware UTC. `budget` is None where the mode has none (dense).
    `config`, `software` and `quality_card` must be JSON-serialisable.
    """

    run_id: str
    started_at: datetime
    source: str  # "infer", "live", "demo", "import:parquet", ...
    model: str
    model_sha256: str
    n_layers: int
    n_experts: int
    mode: str  # "adaptive", "dense", "topk"
    budget: float | None
    config: Mapping[str, Any] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    quality_card: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestRecord:
    """One request: a text, its answer, what it cost. Personal data (text, attributes, tokens) is erasable.

    token_ids_T int32, is_special_T bool; `n_tokens` = T, special tokens included, padding never.
    `flops` and `flops_dense` count the encoder's floating-point operations (2 per multiply-add).
    """

    request_id: str  # unique in the store
    started_at: datetime  # timezone-aware UTC
    latency_ms: float
    n_tokens: int
    text: str | None
    token_ids_T: NDArray[np.int32]
    is_special_T: NDArray[np.bool_]
    active_fraction: float
    flops: int
    flops_dense: int
    mode: str
    budget: float | None = None
    label: str | None = None
    score: float | None = None
    reference_label: str | None = None
    domain: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    actor: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutingBatch:
    """Decisions of some requests as parallel arrays, one entry per decision, sorted by
    (request_index, position, layer, rank).

    One entry for every expert executed for a token in a layer, plus one (`selected` False) for the best
    expert that was not executed, where there is one. `request_index` points into the list of requests
    handed over together with this batch.
    """

    request_index_N: NDArray[np.uint32]
    position_N: NDArray[np.uint32]
    layer_N: NDArray[np.uint16]
    expert_id_N: NDArray[np.uint16]
    rank_N: NDArray[np.uint16]  # 0 = highest score over threshold; the best loser follows the last winner
    selected_N: NDArray[np.bool_]
    logit_N: NDArray[np.float32]  # router output before the softmax
    prob_N: NDArray[np.float32]  # softmax of the logits over all experts of the layer
    gate_weight_N: NDArray[np.float32]  # factor on the expert's output, 0 where not selected
    margin_N: NDArray[np.float32]  # score minus threshold
    flags_N: NDArray[np.uint8]  # DecisionFlag bits

    def __len__(self) -> int:
        return len(self.layer_N)

    @classmethod
    def empty(cls) -> "RoutingBatch":
        """No decisions: what a dense model hands over."""
        small, tiny = np.empty(0, np.uint32), np.empty(0, np.uint16)
        real, flag = np.empty(0, np.float32), np.empty(0, np.bool_)
        return cls(
            request_index_N=small, position_N=small, layer_N=tiny, expert_id_N=tiny, rank_N=tiny, selected_N=flag,
            logit_N=real, prob_N=real, gate_weight_N=real, margin_N=real, flags_N=np.empty(0, np.uint8),
        )  # fmt: skip


class AnsweredRequests(Protocol):
    """Requests that were answered and are not records yet: cheap to hand over, made into records with others later.

    `request_ids`, in order; `n_tokens` of all of them; `len`: how many decisions they will be.
    """

    @property
    def request_ids(self) -> Sequence[str]: ...

    @property
    def n_tokens(self) -> int: ...

    def __len__(self) -> int: ...

    def requests(self) -> Sequence[RequestRecord]:
        """Their records, in order."""

    def decisions(self, others: Sequence["AnsweredRequests"]) -> RoutingBatch:
        """Their decisions and those of `others`, answered after them, as if all requests had come in one call."""


class RoutingSink(Protocol):
    """Stores what a recorder hands over. `append` may buffer; after `flush` returns, all is durable."""

    def begin_run(self, run: RunRecord) -> None: ...

    def append(self, requests: Sequence[RequestRecord], decisions: RoutingBatch) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class LaterSink(RoutingSink, Protocol):
    """A sink that makes the records itself, so that an answer need not wait for them."""

    def append_later(self, answered: AnsweredRequests) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """One line of a training log: `values` maps a metric's name to its number at this step."""

    step: int
    values: Mapping[str, float]
