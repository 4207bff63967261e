"""`infer_on_spark`: batch inference in Spark's worker processes, each with a model of its own.

The requests are cut into parts of whole blocks, and a block is answered in one go, as by `infer` in one process: the
model sees the same batches, so the decisions are the same. Each part writes its own segments; this process lists them
wave by wave, and what it listed is acknowledged.
"""

import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from moe_core.errors import RouteLensError, SparkError
from moe_core.log.entries import BatchEntry
from moe_core.log.gathered_runs import GatheredRuns
from moe_core.model.escalation import EscalatedAnswer, Escalator
from moe_core.model.policy import Escalation
from moe_core.model.reference import RoutedModel
from moe_core.model.requests import Setting, TextRequest
from moe_core.records import RunRecord
from moe_core.spark import worker
from moe_core.spark.session import Spark, is_of_spark, one_line, quiet, start_spark

PARTS_PER_CORE = 4
MOST_BLOCKS = 16  # of a part: what a worker holds at a time, and loses if it dies
WAVE = 2  # parts per core between two acknowledgements


@dataclass(frozen=True, kw_only=True, slots=True)
class SparkRun:
    """Answers in the order of the requests. `parts`, `workers` (processes that answered), `models` (loaded by them)."""

    run: RunRecord
    companion_run_id: str | None
    answers: list[EscalatedAnswer]
    parts: int
    workers: int
    models: int


def infer_on_spark(
    routed: RoutedModel,
    requests: Sequence[TextRequest],
    setting: Setting,
    *,
    block: int,
    escalation: Escalation | None = None,
    store: Path | None = None,
    master: str | None = None,
    actor: str | None = None,
    config: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = lambda sentence: None,
) -> SparkRun:
    """Answers all requests, `block` of them in one go, and logs them in `store` if there is one.

    Raises InputError for a text, setting or rule that cannot be used, before Spark starts; SparkError where there is
    no Spark or it fails; LogError where the log cannot be written. What was acknowledged before stays.
    """
    checked = routed.session(setting)
    if escalation is not None:
        Escalator(checked, escalation)
    checked.ready(requests)
    with ExitStack() as stack:
        spark = stack.enter_context(start_spark(master))
        parts = cut(len(requests), block, spark.cores)
        threads = int(spark.session.conf.get("spark.task.cpus", "1"))
        details = {"engine": {"name": "spark", "version": spark.session.version, "master": spark.master,
                              "parts": len(parts), "block": block}}  # fmt: skip
        session = routed.session(setting, source="infer", actor=actor, config={**(config or {}), **details})
        companion = None if escalation is None else Escalator(session, escalation).planned_run()
        task = worker.PartTask(
            model=routed.folder.resolve(), setting=setting, run=_with_threads(session.run, threads), block=block,
            threads=threads, actor=actor, escalation=escalation,
            companion=None if companion is None else _with_threads(companion, threads),
        )  # fmt: skip
        gathered = None
        if store is not None:
            gathered = stack.enter_context(GatheredRuns(store))
            gathered.begin(task.run)
            task = replace(task, store=gathered.store.path, writer_id=gathered.writer_id)
        return _run(spark, task, gathered, requests, parts, progress)


def cut(n_requests: int, block: int, cores: int) -> list[range]:
    """Numbers of the requests of each part: whole blocks, in order, some parts per core if there are enough blocks."""
    blocks = -(-n_requests // block)
    size = block * max(1, min(MOST_BLOCKS, blocks // (PARTS_PER_CORE * cores)))
    return [range(start, min(start + size, n_requests)) for start in range(0, n_requests, size)]


def _run(
    spark: Spark, task: worker.PartTask, gathered: GatheredRuns | None, requests: Sequence[TextRequest],
    parts: Sequence[range], progress: Callable[[str], None],
) -> SparkRun:  # fmt: skip
    answers: list[EscalatedAnswer] = []
    loads: dict[str, int] = {}  # by process
    escalated = False
    step = max(1, WAVE * spark.cores)
    for start in range(0, len(parts), step):
        receipts = _receipts(spark, task, requests, parts[start : start + step])
        for receipt in sorted(receipts, key=lambda receipt: int(receipt["first"])):
            name = receipt["worker"]
            loads[name] = max(loads.get(name, 0), receipt["loads"])
            answers += worker.answers_of(receipt)
            if gathered is not None:
                _acknowledge(gathered, task, receipt)
        if len(answers) != parts[min(start + step, len(parts)) - 1].stop:
            raise SparkError("Spark lost answers of a part without an error; what was acknowledged before is kept.")
        escalated = any(answer.escalated for answer in answers)
        if len(parts) > 1:
            word = "answered" if gathered is None else "acknowledged"
            progress(f"{task.run.run_id}: {len(answers)} of {len(requests)} requests {word}")
    return SparkRun(
        run=task.run,
        companion_run_id=task.companion.run_id if escalated and task.companion is not None else None,
        answers=answers,
        parts=len(parts),
        workers=len(loads),
        models=sum(loads.values()),
    )


def _acknowledge(gathered: GatheredRuns, task: worker.PartTask, receipt: Mapping[str, Any]) -> None:
    """Lists what a part wrote. The run of second passes begins with its first batch."""
    for fields in receipt["batches"]:
        batch = BatchEntry.from_fields(fields)
        if task.companion is not None and batch.run_id == task.companion.run_id:
            gathered.begin(task.companion)
        gathered.add(batch)


def _receipts(
    spark: Spark, task: worker.PartTask, requests: Sequence[TextRequest], parts: Sequence[range]
) -> list[dict[str, Any]]:
    """Runs these parts, each as one task."""
    rows = [
        {"part": number, "number": i, "text": requests[i].text, "domain": requests[i].domain,
         "reference_label": requests[i].reference_label, "attributes": list(requests[i].attributes.items())}
        for number, part in enumerate(parts) for i in part
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, pa.schema([("part", pa.int32()), *worker.REQUESTS]))

    def answer(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from worker.answer_part(task, batches)

    try:
        frame = spark.frame_of(table).repartitionById(len(parts), "part")
        with quiet():
            receipts = frame.mapInArrow(answer, worker.RECEIPT).toArrow()
    except RouteLensError:
        raise
    except Exception as error:
        if not is_of_spark(error):
            raise
        raise SparkError(
            f"Spark could not answer all requests ({one_line(error)}); what was acknowledged before is kept."
        ) from None
    return [json.loads(text) for text in receipts["receipt"].to_pylist()]


def _with_threads(run: RunRecord, threads: int) -> RunRecord:
    """The run as its workers compute it."""
    return replace(run, software={**run.software, "threads": str(threads), "python": platform.python_version()})
