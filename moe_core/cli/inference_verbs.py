"""`infer` and `embed`: run the model on texts."""

import getpass
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moe_core.cli.infer_output import infer_document, infer_lines
from moe_core.cli.output import DEFAULT_STORE, JsonFlag, ModelOption, StoreOption, emit, note
from moe_core.cli.run_options import (
    DEFAULT_BUDGET,
    EscalateOption,
    MaxLossOption,
    ModeOption,
    PolicyOption,
    RunPlan,
    TruncateFlag,
    WhenFullOption,
    WithoutOption,
    plan_of_options,
    plan_of_policy,
    policy_of,
    when_full,
)
from moe_core.cli.spark_options import INFER_ENGINES, SparkMasterOption, check_engine
from moe_core.errors import InputError
from moe_core.request_files import TextRow, read_rows

if TYPE_CHECKING:
    from moe_core.log.unrecorded import WhenFull
    from moe_core.model.reference import RoutedModel

FLUSH_EVERY = 256


def infer(
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts to answer.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help=".txt, .csv, .jsonl, or - for stdin.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="SHARE", show_default=str(DEFAULT_BUDGET),
            help="Share of the expert compute to spend, above 0 to 1, or auto: the smallest within --max-loss.",
        ),
    ] = None,
    max_loss: MaxLossOption = None,
    mode: ModeOption = None,
    head: Annotated[str | None, typer.Option("--head", help="Classifier that answers.")] = None,
    policy: PolicyOption = None,
    escalate_below: EscalateOption = None,
    without: WithoutOption = None,
    model: ModelOption = None,
    column: Annotated[str, typer.Option("--column", help="Column or key that holds the text.")] = "text",
    attr: Annotated[list[str] | None, typer.Option("--attr", help="Column to keep as attribute; repeatable.")] = None,
    domain: Annotated[str | None, typer.Option("--domain", help="Column that names the domain.")] = None,
    no_log: Annotated[bool, typer.Option("--no-log", help="Answer without writing to the log.")] = False,
    when_log_is_full: WhenFullOption = "wait",
    truncate: TruncateFlag = False,
    engine: Annotated[str, typer.Option("--engine", help=" or ".join(INFER_ENGINES))] = "local",
    spark_master: SparkMasterOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Answer texts and log every routing decision."""
    full = when_full(when_log_is_full, no_log)
    rivals = {"--budget": budget, "--max-loss": max_loss, "--mode": mode, "--escalate-below": escalate_below}
    check_engine(engine, INFER_ENGINES, {"--spark-master": spark_master})
    followed = policy_of(policy, rivals, head)
    important = followed.escalation.important if followed is not None and followed.escalation is not None else None
    rows = [TextRow(number=number, text=text) for number, text in enumerate(texts or [], start=1)]
    if file is not None:
        rows += read_rows(file, column=column, attributes=_attributes(file, attr, important), domain=domain)
    if not rows:
        raise InputError("There is no text: give TEXT on the command line or --file.")
    from moe_core.model.reference import load_model

    routed = load_model(model)
    head = head or routed.default_head
    plan = (
        plan_of_options(
            routed, mode=mode, budget=budget, max_loss=max_loss, head=head, without=without,
            escalate_below=escalate_below, truncate=truncate,
        ) if followed is None
        else plan_of_policy(routed, followed, head=head, without=without, truncate=truncate)
    )  # fmt: skip
    if plan.choice is not None:
        note(plan.choice.sentence)
    kept_in = None if no_log else store
    if engine == "spark":
        if full != "wait":
            raise InputError("--when-log-is-full incomplete works with --engine local; on Spark inference waits.")
        document = _run_on_spark(routed, plan, rows, kept_in, spark_master)
    else:
        document = _run(routed, plan, rows, kept_in, full)
    emit(document, infer_lines(document), as_json)


def _attributes(file: Path, attr: Sequence[str] | None, important: str | None) -> list[str]:
    """Columns to keep: those asked for, and the one that the policy's escalation looks at, where there are columns."""
    kept = list(attr or ())
    if important is not None and important not in kept and file.suffix.lower() in (".csv", ".jsonl"):
        kept.append(important)
    return kept


def _run(
    routed: "RoutedModel", plan: RunPlan, rows: Sequence[TextRow], store: Path | None, full: "WhenFull"
) -> dict[str, Any]:
    """Answers all rows. A setting, rule or text that cannot be used is refused before the log is opened."""
    from moe_core.log.unrecorded import Unrecorded
    from moe_core.log.writer import SegmentSink
    from moe_core.model.escalation import EscalatedAnswer, Escalator

    started = time.perf_counter()
    session = routed.session(plan.setting)
    escalator = None if plan.escalation is None else Escalator(session, plan.escalation)
    ready = session.ready(_requests(rows))
    answers: list[EscalatedAnswer] = []
    sinks: list[SegmentSink] = []
    with ExitStack() as opened:
        if store is not None:

            def another() -> SegmentSink:
                sinks.append(opened.enter_context(SegmentSink(store, when_full=full)))
                return sinks[-1]

            session = routed.session(plan.setting, another(), source="infer", actor=_actor(), config=plan.config)
            escalator = None if plan.escalation is None else Escalator(session, plan.escalation, another)
        step = len(ready) if store is None else FLUSH_EVERY
        for start in range(0, len(ready), step):
            part = ready[start : start + step]
            first = session.answer_ready(part)
            answers += (
                [EscalatedAnswer(each, each) for each in first] if escalator is None else escalator.finish(part, first)
            )
            if store is None or full == "incomplete":  # a flush would wait for the disk
                continue
            for sink in sinks:
                sink.flush()
            if len(ready) > FLUSH_EVERY:
                note(f"{session.run.run_id}: {len(answers)} of {len(ready)} requests acknowledged")
    wall_ms = 1000 * (time.perf_counter() - started)
    unrecorded = sum((sink.unrecorded for sink in sinks), Unrecorded())
    companion = None if escalator is None else escalator.run_id
    return infer_document(session.run, companion, plan, answers, wall_ms, store, unrecorded)


def _run_on_spark(
    routed: "RoutedModel", plan: RunPlan, rows: Sequence[TextRow], store: Path | None, master: str | None
) -> dict[str, Any]:
    """The same in Spark's worker processes."""
    from moe_core.log.unrecorded import Unrecorded
    from moe_core.spark.inference import infer_on_spark

    started = time.perf_counter()
    done = infer_on_spark(
        routed, _requests(rows), plan.setting, block=FLUSH_EVERY, escalation=plan.escalation, store=store,
        master=master, actor=_actor(), config=plan.config, progress=note,
    )  # fmt: skip
    wall_ms = 1000 * (time.perf_counter() - started)
    document = infer_document(done.run, done.companion_run_id, plan, done.answers, wall_ms, store, Unrecorded())
    return {**document, "spark": {"parts": done.parts, "workers": done.workers, "models": done.models}}


def embed(
    file: Annotated[Path, typer.Option("--file", help="One text a line.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the (N, 384) float32 array, .npy.")],
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="SHARE", show_default=str(DEFAULT_BUDGET),
            help="Share of the expert compute to spend, above 0 to 1.",
        ),
    ] = None,
    mode: ModeOption = None,
    policy: PolicyOption = None,
    model: ModelOption = None,
    truncate: TruncateFlag = False,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Write L2-normalised embeddings, one row a line of the file."""
    followed = policy_of(policy, {"--budget": budget, "--mode": mode})
    if followed is not None and followed.escalation is not None:
        raise InputError(f"{policy} escalates doubtful answers, but an embedding is no answer: remove [escalation].")
    rows = read_rows(file)
    for place, row in enumerate(rows, start=1):
        if file.suffix.lower() == ".txt" and row.number != place:
            raise InputError(f"{file}, line {place} is empty: rows of the result must match lines; remove it.")
    if out.suffix != ".npy":
        raise InputError(f"--out {out} must end in .npy.")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}: make it first.")
    import numpy as np

    from moe_core.model.reference import collect, load_model

    routed = load_model(model)
    plan = (
        plan_of_options(
            routed, mode=mode, budget=budget, max_loss=None, head=None, without=None, escalate_below=None,
            truncate=truncate,
        ) if followed is None
        else plan_of_policy(routed, followed, head=None, without=None, truncate=truncate)
    )  # fmt: skip
    session = routed.session(plan.setting)
    result = collect(session.run.run_id, session.answer(_requests(rows)), routed.config)
    np.save(out, result.embeddings, allow_pickle=False)
    document = {"n": len(rows), "active_fraction": result.active_fraction, "flops": result.flops,
                "flops_dense": result.flops_dense, "out": str(out)}  # fmt: skip
    share = result.flops / result.flops_dense
    emit(document, [f"{len(rows)} embeddings in {out}; {share:.0%} of the dense original's FLOPs"], as_json)


def _actor() -> str | None:
    """The user's login name for the log; containers may run under a number that has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def _requests(rows: Sequence[TextRow]) -> list[Any]:
    from moe_core.model.requests import TextRequest

    return [
        TextRequest(text=row.text, domain=row.domain, attributes=row.attributes, reference_label=row.label)
        for row in rows
    ]
