"""`routelens bench`: measured ratios against the dense original, all in one run."""

from pathlib import Path
from typing import Annotated

import typer

from moe_core.cli.output import JsonFlag, ModelOption, StoreOption, emit, note, table
from moe_core.errors import InputError

bench_app = typer.Typer(help="Measure on this machine.", no_args_is_help=True, rich_markup_mode=None)


@bench_app.command("model")
def bench_model_verb(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer variants and repetitions: under a minute.")] = False,
    threads: Annotated[str, typer.Option("--threads", help="Numbers of threads, as in 1,2.")] = "1,2",
    model: ModelOption = None,
    compare: Annotated[
        list[str] | None,
        typer.Option("--compare", help="Another model folder: DIR, or DIR=topk@4, DIR=dense; repeatable."),
    ] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Also write the report to this file.")] = None,
    keep: Annotated[
        bool, typer.Option("--record", help="Also store the adaptive wall times in the model folder, with its card.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Time, FLOPs, memory, energy and quality of the model: dense, adaptive and other rules, interleaved."""
    numbers = parse_threads(threads)
    if markdown is not None and not markdown.parent.is_dir():
        raise InputError(f"--markdown {markdown}: there is no folder {markdown.parent}: make it first.")
    from moe_core.bench import document as report
    from moe_core.bench.model_bench import bench_model

    document = bench_model(model, quick=quick, threads=numbers, compare=compare or (), say=note)
    if markdown is not None:
        markdown.write_text(report.markdown(document), encoding="utf-8")
        note(f"report in {markdown}")
    if keep:
        from moe_core.bench.wall import record
        from moe_core.evaluation.card import write_card
        from moe_core.model.folder import REFERENCE_FOLDER

        folder = model or REFERENCE_FOLDER
        note(f"wall times in {record(folder, document)}, card in {write_card(folder)}")
    lines = [*table(report.headings(), [report.cells(row) for row in document["rows"]]), *report.notes(document)]
    emit(document, lines, as_json)


@bench_app.command("log")
def bench_log_verb(
    quick: Annotated[
        bool, typer.Option("--quick", help="One small store, few repetitions, one thread: about a minute.")
    ] = False,
    decisions: Annotated[
        str | None, typer.Option("--decisions", help="Sizes of the stores, as in 1000000,10000000,100000000.")
    ] = None,
    model: ModelOption = None,
    as_json: JsonFlag = False,
) -> None:
    """What writing decisions costs, how large they are, how soon they are found, what recording costs."""
    sizes = parse_sizes(decisions) if decisions else ((1_000_000,) if quick else (1_000_000, 10_000_000))
    from moe_core.bench import log_report
    from moe_core.bench.log_bench import bench_log

    document = bench_log(model, sizes=sizes, quick=quick, say=note)
    emit(document, log_report.log_lines(document), as_json)


@bench_app.command("views")
def bench_views_verb(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer repetitions.")] = False,
    decisions: Annotated[
        int | None, typer.Option("--decisions", min=100_000, help="Ask a store made for this of so many decisions.")
    ] = None,
    store: StoreOption | None = None,
    model: ModelOption = None,
    as_json: JsonFlag = False,
) -> None:
    """How long each question of the dashboard takes: on your store, or on one made for this (1,000,000 decisions)."""
    if store is not None and decisions is not None:
        raise InputError("--store names a store and --decisions makes one: give one of the two.")
    from moe_core.bench import log_report
    from moe_core.bench.view_bench import bench_views, on_made_store

    effort = {"repetitions": 8, "colds": 2} if quick else {}
    if store is not None:
        document = bench_views(store, **effort)
    else:
        document = on_made_store(model, decisions or 1_000_000, say=note, **effort)
    emit(document, log_report.view_lines(document), as_json)


def parse_sizes(text: str) -> list[int]:
    """'1000000,10000000' -> [1000000, 10000000]. Raises InputError for anything else."""
    try:
        return [int(part.replace("_", "")) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--decisions {text!r} is no list of numbers: give for example 1000000,10000000.") from None


def parse_threads(text: str) -> list[int]:
    """'1,2' -> [1, 2]. Raises InputError for anything else."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--threads {text!r} is no list of numbers: give for example 1,2.") from None
