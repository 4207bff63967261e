"""`runs.json` of an import: one object, or a list of objects, with the columns of `runs`; checked first of all."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moe_core.errors import InputError, LogError
from moe_core.log.store import check_run_id

SOURCE = "import:parquet"
UNKNOWN = "unknown"
LARGEST_ID = 2**15 - 1  # of a layer or an expert, as the log holds them
MAX_EXPERTS = 2**24  # layers x experts of one run
_KEYS = ("run_id", "started_at", "source", "model", "model_sha256", "n_layers", "n_experts", "mode", "budget", "config",
         "software", "quality_card")  # fmt: skip


@dataclass(kw_only=True, slots=True)
class ImportRun:
    """One object of runs.json; None is what it does not say. `notes`: what was assumed, a sentence each."""

    run_id: str | None
    started_at: datetime | None
    source: str
    model: str
    model_sha256: str
    n_layers: int | None
    n_experts: int | None
    mode: str
    budget: float | None
    config: Mapping[str, Any]
    software: Mapping[str, Any]
    earlier_card: Any
    notes: list[str] = field(default_factory=list)

    def check_size(self, where: str) -> None:
        """Raises InputError where this many experts are a mistake rather than a model."""
        if self.n_layers is not None and self.n_experts is not None and self.n_layers * self.n_experts > MAX_EXPERTS:
            raise InputError(
                f"{where}: {self.n_layers} layers of {self.n_experts} experts are more than {MAX_EXPERTS:,} experts; "
                "check n_layers and n_experts."
            )


def read_runs(path: Path) -> list[ImportRun]:
    """Raises InputError with one sentence that names the file, the run and the key."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=_refuse_constant)
        json.dumps(content, allow_nan=False, ensure_ascii=False).encode()  # 1e999 and lone surrogates end here
    except FileNotFoundError:
        raise InputError(f"There is no file {path}; write run_id, n_layers and n_experts of each run there.") from None
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}; write it as a JSON file.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON in UTF-8 ({error}); write one object, or a list of objects.") from None
    objects = [content] if isinstance(content, dict) else content
    if not isinstance(objects, list) or not objects:
        raise InputError(f"{path} must hold one object, or a list of at least one, with run_id, n_layers, n_experts.")
    runs = []
    for i, fields in enumerate(objects):
        where = f"{path}, run {i} (counted from 0)"
        if not isinstance(fields, dict):
            raise InputError(f"{where} is not an object; write run_id, n_layers and n_experts of the run.")
        runs.append(_run(where, fields))
    seen: set[str | None] = set()
    for i, run in enumerate(runs):
        if run.run_id in seen:
            raise InputError(f"{path}, run {i} (counted from 0): run_id {run.run_id!r} was given before; list it once.")
        if run.run_id is None and len(runs) > 1:
            raise InputError(f"{path}, run {i} (counted from 0) has no run_id; with several runs each must have one.")
        seen.add(run.run_id)
    return runs


def check_import_run_id(where: str, run_id: str) -> None:
    try:
        check_run_id(run_id)
    except LogError as error:
        raise InputError(f"{where}: {error}") from None


def _run(where: str, fields: Mapping[str, Any]) -> ImportRun:
    notes: list[str] = []
    run_id = _text(where, fields, "run_id", None)
    if run_id is not None:
        check_import_run_id(where, run_id)
    started_at = _time(where, fields, notes)
    unknown = sorted(set(fields) - set(_KEYS))
    if unknown:
        notes.append(f"Keys of runs.json that were not used: {', '.join(map(repr, unknown))}.")
    for name in ("model", "model_sha256", "mode"):
        if fields.get(name) is None:
            notes.append(f"runs.json does not say {name}; it is stored as {UNKNOWN!r}.")
    run = ImportRun(
        run_id=run_id,
        started_at=started_at,
        source=_text(where, fields, "source", SOURCE) or SOURCE,
        model=_text(where, fields, "model", UNKNOWN) or UNKNOWN,
        model_sha256=_text(where, fields, "model_sha256", UNKNOWN) or UNKNOWN,
        n_layers=_count(where, fields, "n_layers"),
        n_experts=_count(where, fields, "n_experts"),
        mode=_text(where, fields, "mode", UNKNOWN) or UNKNOWN,
        budget=_real(where, fields, "budget"),
        config=_object(where, fields, "config"),
        software=_object(where, fields, "software"),
        earlier_card=fields.get("quality_card"),
        notes=notes,
    )
    run.check_size(where)
    return run


def _text(where: str, fields: Mapping[str, Any], name: str, default: str | None) -> str | None:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise InputError(f"{where}: {name} is {value!r}, not a text; put it in quotation marks.")
    return value


def _count(where: str, fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST_ID + 1:
        raise InputError(f"{where}: {name} is {value!r}; write a whole number from 1 to {LARGEST_ID + 1}.")
    return value


def _real(where: str, fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f"{where}: {name} is {value!r}; write a number, or null.")
    return float(value)


def _time(where: str, fields: Mapping[str, Any], notes: list[str]) -> datetime | None:
    text = _text(where, fields, "started_at", None)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            notes.append("started_at in runs.json has no time zone; UTC is assumed.")
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InputError(f"{where}: started_at is {text!r}; write a time such as 2026-03-01T10:30:00Z.") from None


def _object(where: str, fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object, or its JSON text, as a query of the relation `runs` shows it."""
    value = fields.get(name)
    if isinstance(value, str):
        try:
            value = json.loads(value, parse_constant=_refuse_constant)
        except ValueError:
            raise InputError(f"{where}: {name} is a text but not JSON; write an object.") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{where}: {name} is {value!r}; write an object.")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON; write null")
