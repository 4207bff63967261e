"""One run of the model: answers requests at one setting and hands every decision to a sink."""

import platform
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.errors import InputError
from moe_core.model import costs
from moe_core.model.calibration import check_budget, layer_thresholds
from moe_core.model.encoder import PackedTexts, RouteLayer, pack, pool
from moe_core.model.lost_experts import available_LE, expert_name
from moe_core.model.policy import check_thresholds
from moe_core.model.recording import Answered, counted, sums_per_text
from moe_core.model.requests import Answer, ReadyRequest, Setting, TextRequest, Trace, check_labels
from moe_core.model.router import MODES, AdaptiveRoute, Routing, decide_top_k
from moe_core.model.tokens import TokenizedText
from moe_core.records import LaterSink, RequestRecord, RoutingSink, RunRecord

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel


def new_run_id(now: datetime) -> str:
    return f"run-{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


class Session:
    """Answers requests at one setting. Use `RoutedModel.session`; call `answer` as often as needed.

    `run`, `answered`: this session answers a part of a run that was begun elsewhere, of which `answered` requests come
    before; the numbers in request ids count on from there.
    """

    def __init__(
        self,
        model: "RoutedModel",
        setting: Setting,
        sink: RoutingSink | None,
        *,
        source: str = "python",
        actor: str | None = None,
        config: Mapping[str, Any] | None = None,
        run: RunRecord | None = None,
        answered: int = 0,
    ) -> None:
        if setting.mode not in MODES:
            raise InputError(f"Mode {setting.mode!r} is unknown: use one of {', '.join(MODES)}.")
        self.model, self.setting, self.sink, self.actor = model, setting, sink, actor
        self.head = model.head(setting.head) if setting.head is not None else None
        sizes = model.config
        tau_L = self._tau_L()
        self.thresholds = layer_thresholds(model.adapted, tau_L)
        self.available = self._available()
        self.top_k = max(1, round(setting.budget * sizes.n_experts))
        adaptive = AdaptiveRoute(self.thresholds, self.available)
        self._route: RouteLayer = self._top_k_route if setting.mode == "topk" else adaptive
        self._count = answered
        now = datetime.now(UTC)
        self.run = run or RunRecord(
            run_id=new_run_id(now),
            started_at=now,
            source=source,
            model=model.name,
            model_sha256=model.sha256,
            n_layers=sizes.n_layers,
            n_experts=sizes.n_experts,
            mode=setting.mode,
            budget=None if setting.mode == "dense" or setting.thresholds_L is not None else setting.budget,
            config={"setting": asdict(setting), **self._routing_config(tau_L), **(config or {})},
            software={
                "torch": version("torch"),
                "python": platform.python_version(),
                "threads": str(torch.get_num_threads()),
            },
        )
        self._later = sink if isinstance(sink, LaterSink) else None  # asked once: it takes longer than a layer
        if sink is not None:
            sink.begin_run(self.run)

    def _tau_L(self) -> list[float]:
        """The common threshold of every layer. Raises InputError for a budget or thresholds that cannot be used."""
        setting, n_layers = self.setting, self.model.config.n_layers
        if setting.thresholds_L is not None:
            if setting.mode != "adaptive":
                raise InputError(f"Thresholds are given, but {setting.mode} mode has none: use adaptive mode.")
            check_thresholds(setting.thresholds_L, n_layers)
            return list(setting.thresholds_L)
        if setting.mode != "dense":
            check_budget(setting.budget)
        return [self.model.calibration.tau(setting.budget) if setting.mode == "adaptive" else 0.0] * n_layers

    def _available(self) -> list[torch.Tensor | None]:
        if self.setting.mode == "dense" and self.setting.unavailable:
            raise InputError("Unavailable experts are given, but dense mode runs the original, which has no experts.")
        return available_LE(self.setting.unavailable, self.model.config.n_layers, self.model.config.n_experts)

    def _routing_config(self, tau_L: Sequence[float]) -> dict[str, Any]:
        lost = {"unavailable": [expert_name(e) for e in self.setting.unavailable]} if self.setting.unavailable else {}
        if self.setting.mode == "adaptive":
            values_LE = [[round(value, 6) for value in layer.values_E.tolist()] for layer in self.thresholds]
            return {"tau": tau_L[0] if self.setting.thresholds_L is None else None, "tau_L": list(tau_L),
                    "ramp": self.model.config.ramp, **lost, "thresholds_LE": values_LE}  # fmt: skip
        return {"top_k": self.top_k, **lost} if self.setting.mode == "topk" else {}

    def ready(self, requests: Sequence[TextRequest], *, first_number: int = 1) -> list[ReadyRequest]:
        """Checks and tokenizes. Raises InputError, naming the text by its number, for one that cannot be answered or
        logged."""
        for number, request in enumerate(requests, first_number):
            check_labels(request, number)
        started = time.perf_counter()
        tokenized = self.model.tokenizer.encode(
            [request.text for request in requests], truncate=self.setting.truncate, first_number=first_number
        )
        share_ms = 1000 * (time.perf_counter() - started) / max(1, len(requests))
        return [ReadyRequest(*pair, share_ms) for pair in zip(requests, tokenized, strict=True)]

    def answer(self, requests: Sequence[TextRequest], *, first_number: int = 1) -> list[Answer]:
        """Answers in the order of `requests`; after return everything is handed to the sink (call its `flush`
        to make it durable). Raises InputError, naming the text, before anything runs."""
        return self.answer_ready(self.ready(requests, first_number=first_number))

    def answer_ready(self, ready: Sequence[ReadyRequest]) -> list[Answer]:
        """`answer` for requests that `ready` has tokenized, here or in another session of the same model."""
        base, self._count = self._count, self._count + len(ready)  # numbers count as the caller does
        answers: list[Answer | None] = [None] * len(ready)
        for chunk in self._chunks(ready):
            ids = [f"{self.run.run_id}.{base + i + 1}" for i in chunk]
            parts = self._answer_chunk(ids, [ready[i] for i in chunk])
            for index, part in zip(chunk, parts, strict=True):
                answers[index] = part
        return [answer for answer in answers if answer is not None]

    def _chunks(self, ready: Sequence[ReadyRequest]) -> Iterator[list[int]]:
        """Indices of texts answered together: similar lengths, at most `batch_tokens` tokens."""
        chunk: list[int] = []
        used = 0
        for index in sorted(range(len(ready)), key=lambda i: len(ready[i].tokens.ids)):
            size = len(ready[index].tokens.ids)
            if chunk and used + size > self.setting.batch_tokens:
                yield chunk
                chunk, used = [], 0
            chunk.append(index)
            used += size
        if chunk:
            yield chunk

    def _top_k_route(self, layer: int, logits_TE: torch.Tensor) -> Routing:
        return decide_top_k(logits_TE, self.top_k, self.available[layer])

    def _answer_chunk(self, ids: Sequence[str], ready: Sequence[ReadyRequest]) -> list[Answer]:
        sizes, dense = self.model.config, self.setting.mode == "dense"
        begun_at, started = datetime.now(UTC), time.perf_counter()
        with torch.inference_mode():
            packed = pack([each.tokens.ids for each in ready])
            encoder = self.model.dense if dense else self.model.adapted
            hidden_TD, routings = encoder(packed, None if dense else self._route)
            embeddings_BD = pool(hidden_TD, packed)
            labels, scores, leads = self.head.answer(embeddings_BD) if self.head else ([], [], [])
        latency_ms = 1000 * (time.perf_counter() - started)
        executed_B = executed_per_text(packed, routings)
        rows_B = counted(packed, routings) if routings else [0] * len(ready)
        answers = []
        for i, each in enumerate(ready):
            n_tokens = len(each.tokens.ids)
            slots = n_tokens * sizes.n_layers * sizes.n_experts
            full = costs.dense_flops(sizes, n_tokens)
            answers.append(
                Answer(
                    request_id=ids[i],
                    label=labels[i] if labels else None,
                    score=scores[i] if scores else None,
                    lead=leads[i] if leads else None,
                    n_tokens=n_tokens,
                    active_fraction=1.0 if dense else executed_B[i] / slots,
                    flops=full if dense else costs.routed_flops(sizes, n_tokens, executed_B[i]),
                    flops_dense=full,
                    latency_ms=latency_ms + each.tokenize_ms,
                    n_decisions=rows_B[i],
                    embedding_D=embeddings_BD[i].numpy(),
                    trace=_trace(packed, routings, i, each.tokens) if self.setting.keep_traces and routings else None,
                )
            )
        if self.sink is not None:

            def records() -> list[RequestRecord]:
                return [self._record(each, answer, begun_at) for each, answer in zip(ready, answers, strict=True)]

            answered = Answered(ids, packed, routings, sum(rows_B), records)
            if self._later is not None:
                self._later.append_later(answered)
            else:
                self.sink.append(answered.requests(), answered.decisions(()))
        return answers

    def _record(self, each: ReadyRequest, answer: Answer, begun_at: datetime) -> RequestRecord:
        request, text = each.request, each.tokens
        return RequestRecord(
            request_id=answer.request_id,
            started_at=begun_at,
            latency_ms=answer.latency_ms,
            n_tokens=answer.n_tokens,
            text=request.text,
            token_ids_T=np.asarray(text.ids, dtype=np.int32),
            is_special_T=np.asarray(text.is_special, dtype=np.bool_),
            active_fraction=answer.active_fraction,
            flops=answer.flops,
            flops_dense=answer.flops_dense,
            mode=self.setting.mode,
            budget=self.run.budget,
            label=answer.label,
            score=answer.score,
            reference_label=request.reference_label,
            domain=request.domain,
            attributes=request.attributes,
            actor=self.actor,
        )


def executed_per_text(packed: PackedTexts, routings: Sequence[Routing]) -> list[int]:
    """(token, layer, expert) pairs that ran, per text in the caller's order."""
    if not routings:
        return [0] * len(packed.order_B)
    return sums_per_text(packed, torch.stack([(r.gates_TE > 0).sum(dim=1) for r in routings]).sum(dim=0))


def _trace(packed: PackedTexts, routings: Sequence[Routing], index: int, text: TokenizedText) -> Trace:
    place = packed.order_B.index(index)
    start = sum(packed.lengths_B[:place])
    rows = slice(start, start + packed.lengths_B[place])
    return Trace(
        pieces=text.pieces,
        is_special=text.is_special,
        scores_LTE=torch.stack([r.scores_TE[rows] for r in routings]).numpy(),
        logits_LTE=torch.stack([r.logits_TE[rows] for r in routings]).numpy(),
        thresholds_LTE=torch.stack([r.thresholds_E.expand_as(r.scores_TE)[rows] for r in routings]).numpy(),
        gates_LTE=torch.stack([r.gates_TE[rows] for r in routings]).numpy(),
        floor_LT=torch.stack([r.floor_T[rows] for r in routings]).numpy(),
        failover_LTE=_failover_LTE(routings, rows),
    )


def _failover_LTE(routings: Sequence[Routing], rows: slice) -> NDArray[np.bool_] | None:
    """Which experts stood in for a lost one; None if every expert of every layer was available."""
    if all(r.failover_TE is None for r in routings):
        return None
    nobody_TE = torch.zeros_like(routings[0].gates_TE, dtype=torch.bool)
    stacked_LTE = torch.stack([(nobody_TE if r.failover_TE is None else r.failover_TE)[rows] for r in routings])
    result_LTE: NDArray[np.bool_] = stacked_LTE.numpy()
    return result_LTE
