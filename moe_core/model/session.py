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

from moe_core.errors import InputError
from moe_core.model import costs
from moe_core.model.calibration import check_budget, thresholds_LE
from moe_core.model.encoder import PackedTexts, pack, pool
from moe_core.model.recording import decisions_of
from moe_core.model.requests import Answer, Setting, TextRequest, Trace
from moe_core.model.router import MODES, Routing, decide, decide_top_k
from moe_core.model.tokens import TokenizedText
from moe_core.records import RequestRecord, RoutingBatch, RoutingSink, RunRecord

if TYPE_CHECKING:
    from moe_core.model.reference import RoutedModel


def new_run_id(now: datetime) -> str:
    return f"run-{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


class Session:
    """Answers requests at one setting. Use `RoutedModel.session`; call `answer` as often as needed."""

    def __init__(
        self,
        model: "RoutedModel",
        setting: Setting,
        sink: RoutingSink | None,
        *,
        source: str = "python",
        actor: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        if setting.mode not in MODES:
            raise InputError(f"Mode {setting.mode!r} is unknown: use one of {', '.join(MODES)}.")
        self.model, self.setting, self.sink, self.actor = model, setting, sink, actor
        self.head = model.head(setting.head) if setting.head is not None else None
        sizes = model.config
        if setting.mode != "dense":
            check_budget(setting.budget)
        tau = model.calibration.tau(setting.budget) if setting.mode == "adaptive" else 0.0
        self.thresholds = thresholds_LE(model.adapted, [tau] * sizes.n_layers)
        self.top_k = max(1, round(setting.budget * sizes.n_experts))
        self._count = 0
        now = datetime.now(UTC)
        self.run = RunRecord(
            run_id=new_run_id(now),
            started_at=now,
            source=source,
            model=model.name,
            model_sha256=model.sha256,
            n_layers=sizes.n_layers,
            n_experts=sizes.n_experts,
            mode=setting.mode,
            budget=None if setting.mode == "dense" else setting.budget,
            config={"setting": asdict(setting), **self._routing_config(tau), **(config or {})},
            software={
                "torch": version("torch"),
                "python": platform.python_version(),
                "threads": str(torch.get_num_threads()),
            },
        )
        if sink is not None:
            sink.begin_run(self.run)

    def _routing_config(self, tau: float) -> dict[str, Any]:
        if self.setting.mode == "adaptive":
            return {"tau": tau, "ramp": self.model.config.ramp,
                    "thresholds_LE": [[round(v, 6) for v in row.tolist()] for row in self.thresholds]}  # fmt: skip
        return {"top_k": self.top_k} if self.setting.mode == "topk" else {}

    def answer(self, requests: Sequence[TextRequest], *, first_number: int = 1) -> list[Answer]:
        """Answers in the order of `requests`; after return everything is handed to the sink (call its `flush`
        to make it durable). Raises InputError, naming the text, before anything runs."""
        started = time.perf_counter()
        tokenized = self.model.tokenizer.encode(
            [request.text for request in requests], truncate=self.setting.truncate, first_number=first_number
        )
        share_ms = 1000 * (time.perf_counter() - started) / max(1, len(requests))
        base, self._count = self._count, self._count + len(requests)  # numbers count as the caller does
        answers: list[Answer | None] = [None] * len(requests)
        for chunk in self._chunks(tokenized):
            ids = [f"{self.run.run_id}.{base + i + 1}" for i in chunk]
            parts = self._answer_chunk(ids, [requests[i] for i in chunk], [tokenized[i] for i in chunk], share_ms)
            for index, part in zip(chunk, parts, strict=True):
                answers[index] = part
        return [answer for answer in answers if answer is not None]

    def _chunks(self, tokenized: Sequence[TokenizedText]) -> Iterator[list[int]]:
        """Indices of texts answered together: similar lengths, at most `batch_tokens` tokens."""
        chunk: list[int] = []
        used = 0
        for index in sorted(range(len(tokenized)), key=lambda i: len(tokenized[i].ids)):
            size = len(tokenized[index].ids)
            if chunk and used + size > self.setting.batch_tokens:
                yield chunk
                chunk, used = [], 0
            chunk.append(index)
            used += size
        if chunk:
            yield chunk

    def _route(self, layer: int, logits_TE: torch.Tensor) -> Routing:
        if self.setting.mode == "topk":
            return decide_top_k(logits_TE, self.top_k)
        return decide(logits_TE, self.thresholds[layer], self.model.config.ramp)

    def _answer_chunk(
        self,
        ids: Sequence[str],
        requests: Sequence[TextRequest],
        tokenized: Sequence[TokenizedText],
        share_ms: float,
    ) -> list[Answer]:
        sizes, dense = self.model.config, self.setting.mode == "dense"
        begun_at, started = datetime.now(UTC), time.perf_counter()
        with torch.inference_mode():
            packed = pack([text.ids for text in tokenized])
            encoder = self.model.dense if dense else self.model.adapted
            hidden_TD, routings = encoder(packed, None if dense else self._route)
            embeddings_BD = pool(hidden_TD, packed)
            labels, scores, leads = self.head.answer(embeddings_BD) if self.head else ([], [], [])
        latency_ms = 1000 * (time.perf_counter() - started) + share_ms
        executed_B = executed_per_text(packed, routings)
        decisions = decisions_of(packed, routings, range(len(requests))) if routings else None
        rows_B = (
            np.bincount(decisions.request_index_N, minlength=len(requests)) if decisions is not None
            else np.zeros(len(requests), dtype=np.int64)
        )  # fmt: skip
        answers = []
        for i, text in enumerate(tokenized):
            n_tokens = len(text.ids)
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
                    latency_ms=latency_ms,
                    n_decisions=int(rows_B[i]),
                    embedding_D=embeddings_BD[i].numpy(),
                    trace=_trace(packed, routings, i, text) if self.setting.keep_traces and routings else None,
                )
            )
        if self.sink is not None:
            records = [self._record(*row, begun_at) for row in zip(requests, tokenized, answers, strict=True)]
            self.sink.append(records, decisions if decisions is not None else RoutingBatch.empty())
        return answers

    def _record(self, request: TextRequest, text: TokenizedText, answer: Answer, begun_at: datetime) -> RequestRecord:
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
    per_token_T = torch.stack([(r.gates_TE > 0).sum(dim=1) for r in routings]).sum(dim=0)
    executed_B = [0] * len(packed.order_B)
    for place, part in zip(packed.order_B, torch.split(per_token_T, list(packed.lengths_B)), strict=True):
        executed_B[place] = int(part.sum())
    return executed_B


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
    )
