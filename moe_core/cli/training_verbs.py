"""`train`, `calibrate`, `head train`: make the reference model again, or heads of your own."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from moe_core.cli.output import JsonFlag, ModelOption, emit, note
from moe_core.errors import InputError
from moe_core.request_files import read_rows

head_app = typer.Typer(help="Classifiers on the embedding.", no_args_is_help=True)
DEFAULT_OUT = Path("data/models/mine")


def train(
    config: Annotated[Path, typer.Argument(help="TOML file, see data/configs/reference.toml.")],
    out: Annotated[Path, typer.Option("--out", help="Model folder to write.")] = DEFAULT_OUT,
    state: Annotated[Path, typer.Option("--state", help="Folder of the resumable state.")] = Path(
        "data/cache/training"
    ),
    as_json: JsonFlag = False,
) -> None:
    """Split the base encoder into experts and train routers, weights and thresholds together."""
    from moe_core.config import load_config
    from moe_core.model.pipeline import train_reference
    from moe_core.model.training import TrainingConfig

    settings = load_config(config, TrainingConfig)
    state.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    last: dict[str, float] = {}
    with (state / "log.jsonl").open("a", encoding="utf-8") as log:
        for report in train_reference(settings, state, out):
            last = dict(report.values)
            if report.step % 20 == 0 or report.step >= settings.steps - 1:
                line = {"step": report.step, "seconds": round(time.perf_counter() - started, 1), **last}
                log.write(json.dumps(line) + "\n")
                log.flush()
                note(json.dumps(line))
    document = {"out": str(out), "steps": settings.steps, "metrics": last}
    emit(document, [f"model written to {out} after {settings.steps} steps"], as_json)


def calibrate(
    heldout: Annotated[Path, typer.Option("--file", help="Held-out .jsonl (`text`, `domain`), .csv or .txt.")],
    model: ModelOption = None,
    texts: Annotated[int, typer.Option("--texts", help="How many texts to measure on.")] = 1920,
    as_json: JsonFlag = False,
) -> None:
    """Measure the dial on held-out text and write calibration.json."""
    from moe_core.model.folder import REFERENCE_FOLDER
    from moe_core.model.pipeline import calibrate_folder

    folder = model or REFERENCE_FOLDER
    points = calibrate_folder(folder, heldout, n_texts=texts).points
    rows = [{"budget": p.budget, "tau": p.tau, "cosine": p.cosine, "n_texts": p.n_texts} for p in points]
    lines = [f"budget {p.budget:.3f}  tau {p.tau:.4f}  cosine {p.cosine:.4f}  (n = {p.n_texts})" for p in points]
    emit({"model": str(folder), "points": rows}, lines, as_json)


@head_app.command("train")
def head_train(
    name: Annotated[str, typer.Option("--name", help="Name of the head: letters, digits, _ and -.")],
    file: Annotated[Path, typer.Option("--file", help="Labelled .csv or .jsonl with `text` and `label`.")],
    test: Annotated[Path | None, typer.Option("--test", help="Labelled file to measure on, never trained on.")] = None,
    model: ModelOption = None,
    column: Annotated[str, typer.Option("--column", help="Column that holds the text.")] = "text",
    task: Annotated[str, typer.Option("--task", help="What the labels mean, in one sentence.")] = "",
    source: Annotated[str, typer.Option("--source", help="Where the data come from.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence of the data.")] = "",
    tokens: Annotated[
        int, typer.Option("--tokens", min=1, help="Train on a part of at most so many tokens.")
    ] = 300_000,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Train a classifier on embeddings, dense and sparse, and store it in the model folder."""
    if not name.replace("_", "").replace("-", "").isalnum():
        raise InputError(f"Head name {name!r} must consist of letters, digits, _ and -.")
    from moe_core.model.folder import REFERENCE_FOLDER
    from moe_core.model.head_training import LabelledTexts, train_and_measure
    from moe_core.model.reference import load_model

    def labelled(path: Path) -> LabelledTexts:
        rows = read_rows(path, column=column)
        missing = next((row.number for row in rows if row.label is None), None)
        if missing is not None:
            raise InputError(f"{path}, line {missing}: there is no label: fill the column `label`.")
        return LabelledTexts([row.text for row in rows], [str(row.label) for row in rows])

    folder = model or REFERENCE_FOLDER
    card = train_and_measure(
        folder, load_model(folder), name, labelled(file), labelled(test) if test else None, seed=seed,
        task=task, source=source, licence=licence, most_tokens=tokens,
    )  # fmt: skip
    lines = [f"head {name}: {len(card.labels)} labels, {card.n_train} training texts"]
    lines += [f"accuracy at {key}: {value:.4f} (n = {card.n_test})" for key, value in card.accuracy.items()]
    emit({"name": name, "labels": card.labels, "n_train": card.n_train, "n_test": card.n_test,
          "accuracy": card.accuracy, "calibration_error": card.calibration_error,
          "dense_only_accuracy": card.dense_only_accuracy, "model": str(folder)}, lines, as_json)  # fmt: skip
