"""`import FORMAT PATH`: runs recorded elsewhere, into the routing log."""

from pathlib import Path
from typing import Annotated

import typer

from moe_core.cli.output import DEFAULT_STORE, JsonFlag, StoreOption, emit

import_app = typer.Typer(help="Take over runs that were recorded elsewhere.", no_args_is_help=True)


@import_app.command("parquet")
def import_parquet(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder with runs.json, requests.parquet, decisions.parquet [, tokens.parquet]."
        ),
    ],
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonFlag = False,
) -> None:
    """Import runs from tables with the columns of the relations runs, requests, decisions, tokens.

    Must be there: in decisions run_id, request_id, position, layer, expert_id; in requests run_id, request_id; in
    tokens (an optional file) run_id, request_id, position, token_id. All else may be missing: unknown scores become
    NULL, `selected` true, `rank` follows gate_weight, prob or logit, n_layers and n_experts the highest ids. Ids count
    from 0. The quality card, stored with the run, says what was assumed and what looks odd.

    Everything is checked first. The first wrong row is named, and then nothing is imported.
    """
    from moe_core.log.imports import parquet as importer

    result = importer.import_parquet(folder, store)
    cards = dict(result.quality_cards)
    document = {
        "run_id": result.run_ids[0],
        "run_ids": list(result.run_ids),
        "decisions": result.decisions,
        "requests": result.requests,
        "quality_card": cards[result.run_ids[0]],
        "quality_cards": cards,
    }
    lines = []
    for run_id, card in cards.items():
        lines.append(f"{run_id}: {card['rows']:,} decisions of {card['requests']:,} requests")
        lines += [f"  {sentence}" for sentence in card["notes"]]
    emit(document, lines, as_json)
