"""`evaluate`: measure a model folder, write evaluation.json and its card."""

from pathlib import Path
from typing import Annotated, Any

import typer

from moe_core.cli.output import JsonFlag, ModelOption, emit, note, table

ROOT = Path(__file__).resolve().parents[2]
BEHAVIOUR = ROOT / "data" / "behaviour" / "cases.jsonl"


def evaluate(
    model: ModelOption = None,
    tasks: Annotated[Path, typer.Option("--tasks", help="Folder of <head>/test.jsonl.")] = Path("data/cache/tasks"),
    unseen: Annotated[
        list[Path] | None, typer.Option("--unseen", help="Folder with train.jsonl and test.jsonl of a new task.")
    ] = None,
    behaviour: Annotated[
        Path, typer.Option("--behaviour", help="Short hard cases for the sentiment head.")
    ] = BEHAVIOUR,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small samples: minutes instead of a quarter of an hour.")
    ] = False,
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1000, help="Tokens of each test set; more texts, narrower intervals.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Measure only this part again: a head, behaviour, a task, lost experts."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Measure quality, lost experts, escalation and work of a model; write evaluation.json and MODEL_CARD.md."""
    from moe_core.evaluation.card import write_card
    from moe_core.evaluation.evaluate import EvaluationConfig
    from moe_core.evaluation.evaluate import evaluate as measure
    from moe_core.model.reference import load_model

    routed = load_model(model)
    cases = behaviour if behaviour != BEHAVIOUR or behaviour.is_file() else None
    given: dict[str, Any] = {"unseen": tuple(unseen or ()), "behaviour": cases, "only": tuple(only or ())}
    if tokens is not None:
        given["task_tokens"] = tokens
    config = EvaluationConfig.quick(tasks, **given) if quick else EvaluationConfig(tasks=tasks, **given)
    document: dict[str, Any] = {}
    for what, measured in measure(routed, config):
        document = measured
        note(f"measured: {what}")
    card = write_card(routed.folder)
    rows = [
        (task["name"], task["n"], f"{task['dense']['accuracy']:.3f}", f"{p['budget']:g}", f"{p['active_fraction']:.2f}",
         f"{p['flops_ratio']:.0%}", f"{p['delta_points']:+.2f}", f"{p['delta_low']:+.2f} to {p['delta_high']:+.2f}")
        for task in [*document["tasks"], *document["unseen"]]
        for p in task["points"]
        if p["rule"] == "adaptive"
    ]  # fmt: skip
    head = ("task", "n", "dense", "budget", "experts used", "FLOPs", "points", "95 %")
    emit({**document, "card": str(card)}, [*table(head, rows), f"written: {card}"], as_json)
