"""What runs in Spark's worker processes: one model per process, loaded once, and the requests of one part at a time."""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from moe_core.errors import SparkError
from moe_core.log.part_sink import PartSink
from moe_core.log.store import open_store
from moe_core.model.escalation import EscalatedAnswer, Escalator
from moe_core.model.policy import Escalation
from moe_core.model.reference import RoutedModel, load_model
from moe_core.model.requests import Answer, Setting, TextRequest
from moe_core.records import RunRecord

REQUESTS = pa.schema(
    [
        ("number", pa.int64()),
        ("text", pa.string()),
        ("domain", pa.string()),
        ("reference_label", pa.string()),
        ("attributes", pa.map_(pa.string(), pa.string())),
    ]
)
RECEIPT = "receipt string"
_NUMBERS = [field.name for field in fields(Answer) if field.name not in ("embedding_D", "trace")]
_models: dict[str, RoutedModel] = {}  # of this process, by folder
_loads = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PartTask:
    """What every part has in common. `store` is None where nothing is logged; `companion`: the run of the second
    passes, where `escalation` says that there may be some; `block`: requests answered together."""

    model: Path
    setting: Setting
    run: RunRecord
    block: int
    threads: int
    actor: str | None = None
    store: Path | None = None
    writer_id: str = ""
    escalation: Escalation | None = None
    companion: RunRecord | None = None


def answer_part(task: PartTask, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Requests of one part (`REQUESTS`, in any order) -> one receipt: JSON of its answers and of the durable files that
    hold its decisions."""
    torch.set_num_threads(task.threads)
    rows = sorted((row for batch in batches for row in batch.to_pylist()), key=lambda row: int(row["number"]))
    if rows:
        yield pa.RecordBatch.from_pydict({"receipt": [json.dumps(_answer(task, _model(task), rows))]})


def _model(task: PartTask) -> RoutedModel:
    global _loads
    folder = str(task.model)
    if folder not in _models:
        _models[folder] = load_model(task.model)
        _loads += 1
    if _models[folder].sha256 != task.run.model_sha256:
        raise SparkError(
            f"The model in {folder} on this worker is not that of the run: give all machines the same one."
        )
    return _models[folder]


def _answer(task: PartTask, model: RoutedModel, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = rows[0]["number"]
    sinks: dict[str, PartSink] = {}

    def sink_of(run: RunRecord | None) -> PartSink | None:
        if task.store is None or run is None:
            return None
        return sinks.setdefault(run.run_id, PartSink(open_store(task.store), run, task.writer_id, first))

    session = model.session(task.setting, sink_of(task.run), run=task.run, answered=first, actor=task.actor)
    escalator = None
    if task.escalation is not None:
        escalator = Escalator(
            session, task.escalation, lambda: sink_of(task.companion), run=task.companion, answered=first
        )
    ready = session.ready([_request(row) for row in rows], first_number=first + 1)
    answers: list[EscalatedAnswer] = []
    for start in range(0, len(ready), task.block):
        part = ready[start : start + task.block]
        answered = session.answer_ready(part)
        answers += [EscalatedAnswer(a, a) for a in answered] if escalator is None else escalator.finish(part, answered)
    for sink in sinks.values():
        sink.close()
    return {
        "first": first,
        "worker": f"{platform.node()}/{os.getpid()}",
        "loads": _loads,
        "answers": [[_plain(each) for each in answer.passes] for answer in answers],
        "batches": [batch.to_fields() for sink in sinks.values() for batch in sink.batches],
    }


def _request(row: dict[str, Any]) -> TextRequest:
    return TextRequest(
        text=row["text"],
        domain=row["domain"],
        attributes=dict(row["attributes"] or []),
        reference_label=row["reference_label"],
    )


def _plain(answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in _NUMBERS}


def answers_of(receipt: dict[str, Any]) -> list[EscalatedAnswer]:
    """The answers in a receipt, in the order of the requests; embeddings stay where they were computed."""
    nothing_D = np.empty(0, np.float32)
    passes = [[Answer(**one, embedding_D=nothing_D) for one in each] for each in receipt["answers"]]
    return [EscalatedAnswer(each[0], each[-1]) for each in passes]
