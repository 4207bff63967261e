"""Reads texts from .txt (one a line), .csv and .jsonl files, UTF-8 only, with clear refusals."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moe_core.errors import InputError

SUFFIXES = (".txt", ".csv", ".jsonl")
MAX_FILE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class TextRow:
    """One text of a file; `number` counts from 1 as a reader of the file counts (line or record)."""

    number: int
    text: str
    domain: str | None = None
    label: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)


def read_rows(
    path: Path, *, column: str = "text", attributes: Sequence[str] = (), domain: str | None = None
) -> list[TextRow]:
    """All rows of a file ('-' = standard input, one text a line).

    An `id` column or key is kept as attribute `id`, `label` as the reference label. In .jsonl the keys of an object
    `attributes` are columns as well, behind those of the row itself. Raises InputError, naming file
    and line, for a missing file or column, bytes that are not UTF-8, broken JSON, an empty text or an empty file.
    """
    name = "standard input" if str(path) == "-" else str(path)
    text = _decode(_read_bytes(path), name)
    suffix = ".txt" if str(path) == "-" else path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{name} has the ending {suffix or '(none)'}: use {', '.join(SUFFIXES)}.")
    if suffix == ".txt" and (attributes or domain):
        raise InputError(f"{name} holds plain text, so it has no columns: use .csv or .jsonl with --attr and --domain.")
    if suffix == ".txt":
        rows = [
            TextRow(number=number, text=line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()
        ]
    else:
        records = _csv_records(text, name) if suffix == ".csv" else _json_records(text, name)
        rows = [_row(number, record, name, column, attributes, domain) for number, record in records]
    if not rows:
        raise InputError(f"{name} holds no text: give a file with at least one text.")
    return rows


def _read_bytes(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read(MAX_FILE_BYTES)
    if not path.exists():
        raise InputError(f"There is no file {path}: check the path.")
    if not path.is_file():
        raise InputError(f"{path} is not a file: give a .txt, .csv or .jsonl file.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"{path} is larger than {MAX_FILE_BYTES // 2**20} MB: split it into several files.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error


def _decode(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(f"{name}, line {line}: byte {error.start} is not UTF-8: save the file as UTF-8.") from error


def _csv_records(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(64 * 1024 * 1024)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if reader.fieldnames is None:
            raise InputError(f"{name} is empty: the first line must name the columns.")
        if len(set(reader.fieldnames)) != len(reader.fieldnames):
            raise InputError(f"{name} names a column twice in its first line: give every column its own name.")
        for record in reader:
            if None in record:
                raise InputError(f"{name}, line {reader.line_num}: more fields than columns: quote texts with commas.")
            yield reader.line_num, record
    except csv.Error as error:
        raise InputError(f"{name}, line {reader.line_num}: not valid CSV ({error}): fix the quoting.") from error


def _json_records(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{name}, line {number}: not valid JSON ({error}): write one object a line.") from error
        if not isinstance(record, dict):
            raise InputError(f"{name}, line {number}: not a JSON object: write one object a line.")
        yield number, record


def _row(
    number: int, record: dict[str, Any], name: str, column: str, attributes: Sequence[str], domain: str | None
) -> TextRow:
    nested = record.get("attributes")
    if isinstance(nested, dict):
        record = {**nested, **record}
    for wanted in (column, *attributes, *([domain] if domain else [])):
        if wanted not in record:
            have = ", ".join(str(key) for key in list(record)[:12])
            raise InputError(f"{name}, line {number}: there is no column {wanted!r}; it has: {have}.")
    text = record[column]
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{name}, line {number}: column {column!r} holds no text: fill it or remove the row.")
    values = {key: _plain(record[key]) for key in attributes}
    if "id" in record and "id" not in values and column != "id":
        values["id"] = _plain(record["id"])
    label = record.get("label")
    return TextRow(
        number=number,
        text=text,
        domain=_plain(record[domain]) if domain else None,
        label=None if label is None or label == "" or column == "label" else _plain(label),
        attributes={key: value for key, value in values.items() if value != ""},
    )


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
