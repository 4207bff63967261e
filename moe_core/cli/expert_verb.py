"""`expert`: what one expert of a run does, and what breaks without it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, ModelOption, StoreOption, emit, note, table

TASKS = Path("data/cache/tasks")


def expert(
    layer: Annotated[int, typer.Option("--layer", metavar="L", help="Layer, counted from 0.")],
    expert: Annotated[int, typer.Option("--expert", metavar="E", help="Expert of that layer, counted from 0.")],
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="Run to describe.", show_default="newest model's largest")
    ] = None,
    model: ModelOption = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """The card of one expert: load, gate mass, domains, tokens, texts, partners, and what breaks without it."""
    from functools import partial

    from moe_core.analysis.expert_card.card import check_expert, expert_card
    from moe_core.analysis.expert_card.document import card_document, card_lines
    from moe_core.analysis.specialization.run_frames import RunFrames
    from moe_core.analysis.specialization.words_of_run import requests_to_try, words_of_run
    from moe_core.log.index import Index
    from moe_core.log.queries import load_over_time
    from moe_core.log.routing_sample import routing_of_run
    from moe_core.log.specialization_queries import run_to_describe, texts_of_requests
    from moe_core.model.ablation_file import read_ablation
    from moe_core.model.folder import REFERENCE_FOLDER
    from moe_core.model.vocabulary import pieces_of_run

    folder = model or REFERENCE_FOLDER
    with Index.open_or_private(store) as index:
        row = run_to_describe(index, run)
        check_expert(layer, expert, int(row["n_layers"]), int(row["n_experts"]))
        run_id = str(row["run_id"])
        frames = RunFrames.of(routing_of_run(index, run_id))
        tried = texts_of_requests(index, run_id, requests_to_try(frames.sample))
        words = words_of_run(frames.sample, tried, partial(pieces_of_run, folder, str(row["model"])))
        card = expert_card(
            frames, layer=layer, expert=expert, hours=load_over_time(index, run_id, layer=layer), words=words,
            ablation=read_ablation(folder, str(row["model_sha256"])),
        )  # fmt: skip
        texts = texts_of_requests(index, run_id, list(card.requests["request_id"]))
    emit(card_document(card, texts), [] if as_json else card_lines(card, texts, table), as_json)


def ablate(
    tasks: Annotated[Path, typer.Option("--tasks", help="Folder of <head>/test.jsonl.")] = TASKS,
    model: ModelOption = None,
    budget: Annotated[float, typer.Option("--budget", help="Share of the expert compute to run at.")] = 0.5,
    tokens: Annotated[
        int, typer.Option("--tokens", min=1000, help="Tokens of each task at most; more narrow the intervals.")
    ] = 40_000,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0, help="Stop after this time; run again to go on.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write.", show_default="ablation.json in the model folder")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure what is lost without each expert, on the test texts of the heads; the expert card shows it.

    Every expert is taken out in turn, in two ways: its mean output stands in for it, or the model's own failover acts.
    Written after every shard of texts, so that a stopped measurement goes on where it stopped.
    """
    from time import monotonic

    from moe_core.errors import InputError
    from moe_core.evaluation.ablation import AblationPlan, begin, continues, measure, save
    from moe_core.evaluation.labelled import read_labelled
    from moe_core.model.ablation_file import ABLATION, read_ablation
    from moe_core.model.reference import load_model

    routed = load_model(model)
    found = {name: tasks / name / "test.jsonl" for name in sorted(routed.heads)}
    data = {name: read_labelled(path) for name, path in found.items() if path.is_file()}
    if not data:
        raise InputError(f"{tasks} holds no test set of a head of this model: run `routelens data get sentiment`.")
    plan = AblationPlan(budget=budget, task_tokens=tokens)
    path = out or routed.folder / ABLATION
    before = read_ablation(path.parent, routed.sha256) if path.name == ABLATION else None
    document: dict[str, Any] = begin(routed, plan)
    if before is not None and continues(before, routed, plan):
        document = before
        note(f"going on with {path}")
    started = monotonic()
    for measured in measure(routed, data, plan, document, progress=note):
        save(path, measured)
        if minutes is not None and monotonic() - started >= 60 * minutes:
            note("stopped at the time asked for; run it again to go on")
            break
    rows = [(task["name"], f"{task['n']:,}", f"{task['n_tokens']:,}") for task in document["tasks"]]
    emit(document, [*table(("task", "texts", "tokens"), rows), f"written: {path}"], as_json)
