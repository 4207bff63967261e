"""Imports runs from `runs.json`, `requests.parquet`, `decisions.parquet` and, if there is one, `tokens.parquet`.

Everything is checked before the store is touched. The columns are those of the store's relations; `docs/import.md`
says which may be missing and what then stands in for them.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moe_core.errors import InputError, StoreNotFoundError
from moe_core.log import segments
from moe_core.log.batches import write_batch_tables
from moe_core.log.entries import BatchEntry
from moe_core.log.file_state import FileState
from moe_core.log.imports.columns import (
    DECISION_COLUMNS,
    REQUEST_COLUMNS,
    TOKEN_COLUMNS,
    ImportFile,
    open_import_file,
    unreadable,
)
from moe_core.log.imports.decisions import DecisionReader, ScatteredRowsError
from moe_core.log.imports.prepare import Preparation
from moe_core.log.imports.requests import ImportedRequests, read_requests
from moe_core.log.imports.runs import ImportRun, check_import_run_id, read_runs
from moe_core.log.imports.spool import Spool, SpooledBatch
from moe_core.log.imports.store import CheckedRun, check_runs_are_new, store_runs
from moe_core.log.imports.tokens import ImportedTokens, read_tokens
from moe_core.log.store import Store, open_or_create_store, open_store
from moe_core.records import RunRecord

RUNS, REQUESTS, DECISIONS, TOKENS = "runs.json", "requests.parquet", "decisions.parquet", "tokens.parquet"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportResult:
    """`quality_cards` by run id, in the order of runs.json; `decisions`, `requests` of all runs together."""

    run_ids: tuple[str, ...]
    decisions: int
    requests: int
    quality_cards: Mapping[str, Mapping[str, Any]]


@dataclass(eq=False, slots=True)
class _Sources:
    """The opened files of the folder, and what the file system said about each before it was read."""

    runs_path: Path
    requests: ImportFile
    decisions: ImportFile
    tokens: ImportFile | None
    states: Mapping[Path, FileState | None]

    @property
    def tables(self) -> list[ImportFile]:
        return [file for file in (self.requests, self.decisions, self.tokens) if file is not None]

    def check_unchanged(self) -> None:
        for path, state in self.states.items():
            if FileState.of(path) != state:
                raise InputError(f"{path} changed while it was imported; import it again when nobody writes to it.")


def import_parquet(folder: Path | str, store_dir: Path | str) -> ImportResult:
    """Raises InputError for files that cannot be stored and LogError for a store that cannot take them: then the store
    holds what it held before."""
    store = None
    with suppress(StoreNotFoundError):  # made when everything was checked
        store = open_store(store_dir)
    sources = _open_sources(Path(folder))
    runs = read_runs(sources.runs_path)
    _name_the_only_run(sources, runs)
    run_ids = [str(run.run_id) for run in runs]
    if store is not None:
        check_runs_are_new(store, run_ids)
    requests = read_requests(sources.requests, run_ids)
    for number, run in enumerate(runs):
        _start_run(run, number, requests)
    tokens = None if sources.tokens is None else read_tokens(sources.tokens, requests)
    with Spool() as first, Spool() as second:
        prepared, spool = _prepare(sources, requests, runs, tokens, first, second)
        cards = _cards(sources, requests, runs, prepared)
        sources.check_unchanged()
        store = store or open_or_create_store(store_dir)
        table = requests.table(
            runs, store, number_R=prepared.number_R, n_tokens_R=prepared.n_tokens_R,
            active_fraction_R=prepared.active_fraction_R,
        )  # fmt: skip
        checked = [
            CheckedRun(
                _record(run, prepared.counters[i].shape, cards[run_ids[i]]),
                [
                    partial(_write_batch, store, run_ids[i], batch, spool, table, prepared)
                    for batch in spool.batches
                    if batch.run == i
                ],
            )
            for i, run in enumerate(runs)
        ]
        store_runs(store, checked, sources.check_unchanged)
    return ImportResult(
        run_ids=tuple(run_ids),
        decisions=sum(counter.rows for counter in prepared.counters),
        requests=len(requests),
        quality_cards=cards,
    )


def _open_sources(folder: Path) -> _Sources:
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; give the one that holds {RUNS}, {REQUESTS} and {DECISIONS}.")
    paths = [folder / name for name in (RUNS, REQUESTS, DECISIONS)]
    if (folder / TOKENS).exists():
        paths.append(folder / TOKENS)
    states = {path: FileState.of(path) for path in paths}
    if states[paths[0]] is None:
        raise InputError(f"There is no file {paths[0]}; write run_id, n_layers and n_experts of each run there.")
    return _Sources(
        runs_path=paths[0],
        requests=open_import_file(paths[1], REQUEST_COLUMNS),
        decisions=open_import_file(paths[2], DECISION_COLUMNS),
        tokens=open_import_file(paths[3], TOKEN_COLUMNS) if len(paths) > 3 else None,
        states=states,
    )


def _name_the_only_run(sources: _Sources, runs: Sequence[ImportRun]) -> None:
    """A run without run_id takes that of the requests, if they all have the same."""
    if runs[0].run_id is not None:
        return
    where = f"{sources.runs_path}, run 0 (counted from 0)"
    found = pc.unique(sources.requests.read().column("run_id").cast(pa.string())).drop_null().to_pylist()
    if len(found) != 1:
        raise InputError(f"{where} has no run_id, and {sources.requests.path} names {len(found)} runs; write run_id.")
    check_import_run_id(where, found[0])
    runs[0].run_id = found[0]
    runs[0].notes.append(f"runs.json does not say run_id; {found[0]!r} was taken from requests.parquet.")


def _start_run(run: ImportRun, number: int, requests: ImportedRequests) -> None:
    if run.started_at is not None:
        return
    run.started_at = requests.first_start(number)
    if run.started_at is not None:
        run.notes.append("runs.json does not say started_at; the start of the earliest request was taken.")
    else:
        run.started_at = datetime.now(UTC)
        run.notes.append("Neither runs.json nor requests.parquet says started_at; the time of the import was taken.")


def _prepare(
    sources: _Sources, requests: ImportedRequests, runs: Sequence[ImportRun], tokens: ImportedTokens | None,
    first: Spool, second: Spool,
) -> tuple[Preparation, Spool]:  # fmt: skip
    """Reads and checks all decisions; if the rows of a request are scattered, once more in the order of requests."""
    reader = DecisionReader(sources.decisions, requests, runs)
    prepared, spool = Preparation(sources.decisions, requests, runs, tokens, first), first
    try:
        prepared.add_all(reader.whole_requests(), is_sorted=False)
    except ScatteredRowsError:
        prepared, spool = Preparation(sources.decisions, requests, runs, tokens, second), second
        prepared.add_all(reader.sorted_requests(), is_sorted=True)
        for run in runs:
            run.notes.append("The rows of a request did not stand together in decisions.parquet; they were sorted.")
    prepared.finish()
    return prepared, spool


def _cards(
    sources: _Sources, requests: ImportedRequests, runs: Sequence[ImportRun], prepared: Preparation
) -> dict[str, dict[str, Any]]:
    missing = {file.path.name: {column.name: str(column.instead) for column in file.missing} for file in sources.tables}
    if sources.tokens is not None:
        missing[DECISIONS].pop("token_id", None)
    files = {file.path.name: {"rows": file.n_rows} | _identity(file.path) for file in sources.tables}
    files = {RUNS: _identity(sources.runs_path)} | files
    ignored = {file.path.name: file.ignored for file in sources.tables}
    n_tokens_R = prepared.n_tokens_R
    cards = {}
    for i, run in enumerate(runs):
        of_run_R = requests.run_R == i
        notes = [*run.notes, *_size_notes(run, prepared.counters[i].shape)]
        if requests.has_zone is False:
            notes.append("started_at in requests.parquet has no time zone; UTC is assumed.")
        if sources.tokens is None and len(prepared.tokens):
            notes.append(
                "Token ids are from decisions.parquet; which tokens are special is not known: none is stored as such."
            )
        idle = int((of_run_R & ~prepared.has_decisions_R).sum())
        if idle:
            notes.append(f"{idle:,} of {int(of_run_R.sum()):,} requests have no decisions.")
        cards[str(run.run_id)] = prepared.counters[i].card(
            n_tokens=int(n_tokens_R[of_run_R].sum()), missing=missing, ignored=ignored, files=files,
            unknown_requests=requests.unknown_shares(of_run_R), n_requests=int(of_run_R.sum()), notes=notes,
        )  # fmt: skip
    return cards


def _size_notes(run: ImportRun, shape: tuple[int, int]) -> list[str]:
    said = {"n_layers": run.n_layers, "n_experts": run.n_experts}
    return [
        f"runs.json does not say {name}; {count} was inferred from the highest id in the decisions."
        for (name, value), count in zip(said.items(), shape, strict=True)
        if value is None
    ]


def _identity(path: Path) -> dict[str, Any]:
    try:
        return {"bytes": path.stat().st_size, "sha256": segments.file_sha256(path)}
    except OSError as error:
        raise unreadable(path, error) from None


def _record(run: ImportRun, shape: tuple[int, int], card: Mapping[str, Any]) -> RunRecord:
    assert run.run_id is not None
    assert run.started_at is not None
    return RunRecord(
        run_id=run.run_id, started_at=run.started_at, source=run.source, model=run.model,
        model_sha256=run.model_sha256, n_layers=shape[0], n_experts=shape[1], mode=run.mode, budget=run.budget,
        config=run.config, software=run.software, quality_card=card,
    )  # fmt: skip


def _write_batch(
    store: Store, run_id: str, batch: SpooledBatch, spool: Spool, table: pa.Table, prepared: Preparation, batch_id: str
) -> BatchEntry:
    rows = np.concatenate(batch.requests)
    return write_batch_tables(
        store, run_id, batch_id, batch.day, int(prepared.number_R[rows[0]]), table.take(pa.array(rows)),
        prepared.tokens.table(rows, prepared.number_R), [spool.read(batch)],
    )  # fmt: skip
