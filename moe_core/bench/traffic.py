"""Traffic to fill a store with: requests as the reference model really routed them, drawn again and again.

The demo requests run through the model once; every request keeps its decisions. A store of any size is then made of
requests drawn with replacement. So the number of experts per token, their load, margins and gates are measured ones,
and not noise. Drawn logits, margins and probabilities are shaken a little: an exact copy of a request nearby would
compress better than traffic does.

Shape letters: N decisions, R requests.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest
from moe_core.records import RequestRecord, RoutingBatch, RunRecord

SHAKE = 0.02  # standard deviation of a logit's noise; margins and probabilities move in proportion
COLUMNS = tuple(field.name for field in dataclasses.fields(RoutingBatch))


class _Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.run: RunRecord | None = None
        self.parts: list[tuple[Sequence[RequestRecord], RoutingBatch]] = []

    def begin_run(self, run: RunRecord) -> None:
        self.run = run

    def append(self, requests: Sequence[RequestRecord], decisions: RoutingBatch) -> None:
        self.parts.append((requests, decisions))

    def flush(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Traffic:
    """One run and its requests; decisions of request r are rows starts_R[r] to starts_R[r + 1] of `decisions`."""

    run: RunRecord
    requests: Sequence[RequestRecord]
    decisions: RoutingBatch
    starts_R: NDArray[np.int64]

    @classmethod
    def measured(cls, model: RoutedModel, texts: Sequence[TextRequest], setting: Setting) -> "Traffic":
        """What the model does with `texts` at `setting`. Raises InputError for a text or a setting that is refused."""
        kept = _Kept()
        model.session(setting, kept, source="bench").answer(texts)
        assert kept.run is not None
        requests = [request for part, _ in kept.parts for request in part]
        before = np.cumsum([0, *(len(part) for part, _ in kept.parts)])
        columns = {
            name: np.concatenate([getattr(batch, name) for _, batch in kept.parts])
            for name in COLUMNS
            if name != "request_index_N"
        }
        index_N = np.concatenate(
            [batch.request_index_N + first for (_, batch), first in zip(kept.parts, before, strict=False)]
        ).astype(np.uint32)
        starts_R = np.searchsorted(index_N, np.arange(len(requests) + 1))
        return cls(kept.run, requests, RoutingBatch(request_index_N=index_N, **columns), starts_R.astype(np.int64))

    @property
    def decisions_per_request(self) -> float:
        return len(self.decisions) / len(self.requests)

    def draw(
        self, rng: np.random.Generator, n_requests: int, first_number: int, at: datetime, every: timedelta
    ) -> tuple[list[RequestRecord], RoutingBatch]:
        """`n_requests` requests drawn with replacement, numbered from `first_number`, `every` apart from `at` on."""
        drawn_R = rng.integers(0, len(self.requests), n_requests)
        records = [
            dataclasses.replace(
                self.requests[drawn],
                request_id=f"{self.run.run_id}.{first_number + place}",
                started_at=at + place * every,
                latency_ms=self.requests[drawn].latency_ms * float(rng.lognormal(0, 0.2)),
            )
            for place, drawn in enumerate(drawn_R.tolist())
        ]
        sizes_R = self.starts_R[drawn_R + 1] - self.starts_R[drawn_R]
        ends_R = np.cumsum(sizes_R)
        rows_N = np.arange(int(sizes_R.sum())) + np.repeat(self.starts_R[drawn_R] - ends_R + sizes_R, sizes_R)
        columns = {name: getattr(self.decisions, name)[rows_N] for name in COLUMNS}
        columns["request_index_N"] = np.repeat(np.arange(n_requests, dtype=np.uint32), sizes_R)
        _shake(columns, rng)
        return records, RoutingBatch(**columns)


def _shake(columns: dict[str, NDArray[np.generic]], rng: np.random.Generator) -> None:
    noise_N = rng.standard_normal(len(columns["logit_N"]), dtype=np.float32) * np.float32(SHAKE)
    columns["logit_N"] = columns["logit_N"] + noise_N  # type: ignore[operator]
    columns["prob_N"] = np.clip(columns["prob_N"] * (1 + noise_N), 0, 1)  # type: ignore[operator]
    margin_N = columns["margin_N"] * (1 + noise_N)  # type: ignore[operator]
    columns["margin_N"] = margin_N.astype(np.float32)
