"""`upcycle`: make an encoder of the user's own adaptive."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moe_core.cli.output import JsonFlag, emit, note, table

if TYPE_CHECKING:
    from moe_core.records import StepReport

REPORT_EVERY = 20
ROUTINE = {"loss", "router_regression"}  # values of reports that come with every step
OWN_FILES = ("state.safetensors", "state.tmp", "run.json", "log.jsonl")


def upcycle(
    base_dir: Annotated[
        Path, typer.Argument(metavar="BASE_DIR", help="Folder of a BERT encoder: config.json, safetensors, tokenizer.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Model folder to write; new or empty.")],
    file: Annotated[Path, typer.Option("--file", help="Your texts, unlabelled: .txt, .csv or .jsonl.")],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file, as for `train`.")] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", help="Training steps; 300 are a gentle start; the shipped model had thousands.",
                     show_default="300"),
    ] = None,
    heldout: Annotated[
        Path | None, typer.Option("--heldout", help="Texts to measure on.", show_default="a tenth of --file")
    ] = None,
    experts: Annotated[int | None, typer.Option("--experts", help="Experts a layer.", show_default="16")] = None,
    state: Annotated[
        Path | None, typer.Option("--state", help="Folder of the resumable state.", show_default="DIR.state")
    ] = None,
    column: Annotated[str, typer.Option("--column", help="Column or key that holds the text.")] = "text",
    domain: Annotated[str | None, typer.Option("--domain", help="Column that names the kind of text.")] = None,
    as_json: JsonFlag = False,
) -> None:  # fmt: skip
    """Split your own BERT encoder's feed-forward blocks into experts and teach them, on your texts, to agree with it.

    It splits, it does not copy: the model keeps its number of weights and runs only a part of them for each token.
    (Sparse upcycling in the literature copies the block into every expert, which costs more, not less.)
    An interrupted run goes on from --state when it is started again with the same options.
    """
    from moe_core.evaluation.card import NOTES, write_card
    from moe_core.model.base_check import read_base
    from moe_core.model.calibration import load_calibration
    from moe_core.model.pipeline import SPLIT_DIFFERENCE
    from moe_core.model.upcycle import check_out, upcycle_config
    from moe_core.model.upcycle import upcycle as run_upcycle
    from moe_core.model.upcycle_card import card_notes
    from moe_core.model.upcycle_texts import read_shares

    state_dir = state or Path(f"{out.resolve()}.state")
    check_out(out, base_dir, state_dir)
    started = time.perf_counter()
    base = read_base(base_dir)
    settings, remarks = upcycle_config(base, config, steps=steps, n_experts=experts)
    texts = read_shares(file, heldout, base.tokenizer, column=column, domain=domain)
    remarks = [*base.notes, *remarks, *texts.notes]
    measured: dict[str, float] = {}

    def finish(folder: Path) -> None:
        words = card_notes(
            base, texts, settings, base_folder=base_dir, file=file, remarks=remarks,
            split_difference=measured[SPLIT_DIFFERENCE],
        )  # fmt: skip
        (folder / NOTES).write_text(words, encoding="utf-8")
        write_card(folder)

    reports = run_upcycle(base, texts, settings, out, state_dir, finish)
    for remark in remarks:
        note(f"note: {remark}")
    note(f"{len(texts.train):,} texts to train on, {len(texts.heldout):,} held out, {settings.steps:,} steps")
    for index, report in enumerate(reports):
        measured |= report.values
        if index % REPORT_EVERY == 0 or not ROUTINE & report.values.keys():
            _log(state_dir, report, time.perf_counter() - started)
    if state is None:
        _clear(state_dir)
    points = load_calibration(out / "calibration.json").points
    rows = [{"budget": p.budget, "share": p.budget, "tau": p.tau, "cosine": p.cosine, "cosine_p05": p.cosine_p05}
            for p in points]  # fmt: skip
    document: dict[str, Any] = {
        "out": str(out), "base": base.name, "base_sha256": base.weights_sha256, "n_layers": base.dense.config.n_layers,
        "n_experts": settings.n_experts, "steps": settings.steps, "n_texts": len(texts.train),
        "n_heldout": len(texts.heldout), "n_texts_measured": points[-1].n_texts,
        "split_difference": measured[SPLIT_DIFFERENCE],
        "seconds": round(time.perf_counter() - started, 1), "points": rows, "notes": remarks,
    }  # fmt: skip
    shown = [(f"{p.budget:.3f}", f"{p.cosine:.4f}", f"{p.cosine_p05:.4f}") for p in reversed(points)]
    lines = [
        f"model in {out}: {settings.n_experts} experts a layer, {settings.steps} steps, {len(texts.train):,} texts",
        *table(("share of expert compute", "cosine to the base", "5th percentile"), shown),
        f"measured on {points[-1].n_texts:,} held-out texts; run it with `routelens infer --model {out}`",
    ]
    emit(document, lines, as_json)


def _log(state_dir: Path, report: "StepReport", seconds: float) -> None:
    line = json.dumps({"step": report.step, "seconds": round(seconds, 1), **report.values})
    with (state_dir / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(line + "\n")
    note(line)


def _clear(state_dir: Path) -> None:
    """Removes the finished run's own state, and the folder if nothing else is in it."""
    for name in OWN_FILES:
        (state_dir / name).unlink(missing_ok=True)
    if not any(state_dir.iterdir()):
        state_dir.rmdir()
