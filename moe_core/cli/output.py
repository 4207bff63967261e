"""How every verb speaks: one JSON document on stdout with --json, plain lines without, everything else on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
StoreOption = Annotated[Path, typer.Option("--store", help="Folder of the routing log.", envvar="ROUTELENS_STORE")]
ModelOption = Annotated[
    Path | None, typer.Option("--model", help="Model folder (default: the reference model).", envvar="ROUTELENS_MODEL")
]
DEFAULT_STORE = Path("data/store")


def emit(document: Mapping[str, Any], lines: Sequence[str], as_json: bool) -> None:
    """Prints the result of a verb."""
    if as_json:
        sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False, default=str) + "\n")
    else:
        sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stdout.flush()


def note(message: str) -> None:
    """Progress and remarks: stderr, one line."""
    sys.stderr.write(printable(message) + "\n")
    sys.stderr.flush()


def printable(line: str) -> str:
    """Foreign text cannot steer a terminal: control and direction characters are shown as escapes."""
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in line)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Aligned plain-text table."""
    cells = [[printable(str(value)) for value in row] for row in [columns, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    return ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in cells]
