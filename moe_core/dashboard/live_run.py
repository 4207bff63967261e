"""One text through the adaptive model and through the dense original: answer, cost, time, and every decision.

The caller holds the inference lock of the process. Recording writes two requests: the adaptive answer with its
decisions, and the dense answer, so that the log can compare them later.
"""

from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import pandas as pd

from moe_core.analysis.trace import live_trace
from moe_core.dashboard.recorder import LiveRecorder
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Answer, Setting, TextRequest
from moe_core.records import DecisionFlag

LONG_TEXT = 128  # tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveResult:
    """What the live page shows. `trace` is a frame as in `moe_core.analysis.trace`; times are medians of
    `repeats` interleaved runs in milliseconds; `answer_id` is its id in the log, if it was `recorded`."""

    text: str
    budget: float
    head: str
    label: str
    score: float
    dense_label: str
    dense_score: float
    cosine: float
    n_tokens: int
    active_fraction: float
    flops: int
    flops_dense: int
    latency_ms: float
    dense_latency_ms: float
    repeats: int
    n_layers: int
    n_experts: int
    trace: pd.DataFrame
    answer_id: str
    recorded: bool

    @property
    def run_id(self) -> str:
        """The run it was recorded in; empty where it was not. A request of this model is named RUN.NUMBER."""
        return self.answer_id.rpartition(".")[0] if self.recorded else ""

    @property
    def same_answer(self) -> bool:
        return self.label == self.dense_label

    @property
    def flops_ratio(self) -> float:
        return self.flops / self.flops_dense


def run_live(model: RoutedModel, text: str, *, budget: float, head: str, recorder: LiveRecorder | None) -> LiveResult:
    """Answer `text` with both models. Raises InputError for a text, budget or head that cannot be used, LogError
    where the answer cannot be recorded."""
    adaptive = Setting(mode="adaptive", budget=budget, head=head, keep_traces=True)
    dense = Setting(mode="dense", budget=1.0, head=head)
    if recorder is not None:
        # the adaptive answer last, so that it is the newest request of the log
        theirs, ours = recorder.answer(dense, text), recorder.answer(adaptive, text)
    else:
        theirs, ours = (model.session(s, None).answer([TextRequest(text=text)])[0] for s in (dense, adaptive))
    repeats = 5 if ours.n_tokens <= LONG_TEXT else 3
    latency_ms, dense_latency_ms = _times(model, text, (replace(adaptive, keep_traces=False), dense), repeats)
    return LiveResult(
        text=text,
        budget=budget,
        head=head,
        label=ours.label or "",
        score=ours.score or 0.0,
        dense_label=theirs.label or "",
        dense_score=theirs.score or 0.0,
        cosine=float(np.dot(ours.embedding_D, theirs.embedding_D)),
        n_tokens=ours.n_tokens,
        active_fraction=ours.active_fraction,
        flops=ours.flops,
        flops_dense=ours.flops_dense,
        latency_ms=latency_ms,
        dense_latency_ms=dense_latency_ms,
        repeats=repeats,
        n_layers=model.config.n_layers,
        n_experts=model.config.n_experts,
        trace=answer_trace(ours),
        answer_id=ours.request_id,
        recorded=recorder is not None,
    )


def _times(model: RoutedModel, text: str, settings: tuple[Setting, ...], repeats: int) -> list[float]:
    """Median latency of each setting: interleaved and not recorded, so that neither side pays for the log or for
    a cold start."""
    sessions = [model.session(setting, None) for setting in settings]
    timed: list[list[float]] = [[] for _ in sessions]
    for _ in range(repeats):
        for session, times in zip(sessions, timed, strict=True):
            times.append(session.answer([TextRequest(text=text)])[0].latency_ms)
    return [median(times) for times in timed]


def answer_trace(answer: Answer) -> pd.DataFrame:
    """The trace of an answer that kept it, with every expert, as in `moe_core.analysis.trace`."""
    trace = answer.trace
    assert trace is not None, "the setting keeps traces"
    best_LT = trace.margins_LTE.argmax(axis=2)
    is_best_LTE = np.arange(trace.scores_LTE.shape[2]) == best_LT[:, :, None]
    flags_LTE = np.where(is_best_LTE & trace.floor_LT[:, :, None], int(DecisionFlag.FLOOR), 0)
    if trace.failover_LTE is not None:
        flags_LTE = flags_LTE | np.where(trace.failover_LTE, int(DecisionFlag.FAILOVER), 0)
    return live_trace(
        tokens=trace.pieces,
        is_special=trace.is_special,
        scores_LTE=trace.scores_LTE,
        thresholds_LTE=trace.thresholds_LTE,
        gates_LTE=trace.gates_LTE,
        flags_LTE=flags_LTE,
    )
