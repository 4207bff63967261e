"""Additional local files for the corpus: JSON Lines or plain text, plain or compressed."""

import gzip
import json
import lzma
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import IO, Any, get_args

from moe_core.errors import ConfigError, SourceError
from moe_core.sources.documents import Document
from moe_core.sources.extract_plain import paragraphs
from moe_core.sources.passages import Style

_PARAGRAPHS_PER_DOCUMENT = 60
_CALCULATOR = re.compile(r"<<[^<>]*>>")
_CREDIT = re.compile(r"project gutenberg|transcriber|proofread|produced by|\*\*\*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Extra:
    """One local file and how to read it.

    `path` ends in .jsonl or .txt, with .gz or .xz behind it when compressed. For JSON Lines each
    record is a document and `keys` name its texts; a key is a path with dots, where `*` stands
    for every item of a list (`turns.*.1`). A text file is cut into documents of 60 paragraphs.
    """

    path: Path
    domain: str
    source: str
    keys: tuple[str, ...] = ("text",)
    style: Style = "prose"


def load_extras(path: Path) -> list[Extra]:
    """Read a list of local files from TOML: one `[[extra]]` table per file.

    Each table has `path` (relative to the TOML file; `*` takes every match), `domain`, `source`,
    and may have `keys` and `style`.

    Raises:
        ConfigError: the file cannot be read, or a table has a wrong or a missing key.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("extra", [])
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The list of local files {path} cannot be read: {error}.") from error
    extras = []
    for number, table in enumerate(tables, start=1):
        missing = {"path", "domain", "source"} - set(table)
        unknown = set(table) - set(Extra.__slots__)
        if missing or unknown:
            raise ConfigError(
                f"{path}: extra number {number} has wrong or missing keys: "
                f"{sorted(missing | unknown)}; use {', '.join(Extra.__slots__)}."
            )
        if table.get("style", "prose") not in get_args(Style):
            raise ConfigError(
                f"{path}: extra number {number} has style {table['style']!r}; use one of {', '.join(get_args(Style))}."
            )
        keys = tuple(table.get("keys", ("text",)))
        for match in _matches(path.parent, table["path"]):
            extras.append(Extra(**{**table, "path": match, "keys": keys}))
    return extras


def _matches(folder: Path, pattern: str) -> list[Path]:
    """Every file that a path with wildcards names; without wildcards the path itself."""
    whole = str(folder / pattern)
    return [Path(name) for name in sorted(glob(whole))] if "*" in pattern else [Path(whole)]


def read_extra(extra: Extra) -> Iterator[Document]:
    """Yield the documents of a local file.

    Raises:
        SourceError: the file is missing, damaged or of an unknown kind.
    """
    name = extra.path.name
    kind = name.removesuffix(".gz").removesuffix(".xz").rpartition(".")[2]
    if kind not in ("jsonl", "txt"):
        raise SourceError(f"The file {extra.path} is neither .jsonl nor .txt (.gz, .xz); refused.")
    try:
        with _open_text(extra.path) as stream:
            if kind == "jsonl":
                yield from _records(extra, stream)
            else:
                yield from _text_documents(extra, stream.read())
    except (OSError, lzma.LZMAError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SourceError(f"The file {extra.path} cannot be read ({error}); check its path and its form.") from error


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _records(extra: Extra, stream: IO[str]) -> Iterator[Document]:
    for number, line in enumerate(stream):
        if not line.strip():
            continue
        record = json.loads(line)
        blocks = [
            piece
            for key in extra.keys
            for text in values_at(record, key)
            for piece in _clean(text).split("\n")
            if piece.strip()
        ]
        yield Document(
            doc=f"{extra.source}/{extra.path.name}/{number}",
            domain=extra.domain,
            source=extra.source,
            blocks=blocks,
            style=extra.style,
        )


def _text_documents(extra: Extra, text: str) -> Iterator[Document]:
    blocks = [block for block in paragraphs(text) if not _CREDIT.search(block)]
    for start in range(0, len(blocks), _PARAGRAPHS_PER_DOCUMENT):
        yield Document(
            doc=f"{extra.source}/{extra.path.name}/{start}",
            domain=extra.domain,
            source=extra.source,
            blocks=[block.replace("_", "") for block in blocks[start:][:_PARAGRAPHS_PER_DOCUMENT]],
            style=extra.style,
        )


def values_at(record: object, key: str) -> list[str]:
    """Return the strings at a dotted path; `*` is every item of a list; missing gives none."""
    found: list[Any] = [record]
    for step in key.split("."):
        following: list[Any] = []
        for value in found:
            if step == "*" and isinstance(value, list):
                following.extend(value)
            elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
                following.append(value[int(step)])
            elif isinstance(value, dict) and step in value:
                following.append(value[step])
        found = following
    return [value for value in found if isinstance(value, str)]


def _clean(text: str) -> str:
    """Remove calculator marks of worked maths, and put its result into words."""
    return _CALCULATOR.sub("", text).replace("#### ", "The answer is ")
