"""Folders to import, made by hand: one run of 2 layers of 3 experts, 2 requests of 2 tokens and 1 token."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Table = dict[str, list[Any]]

RUN: dict[str, Any] = {
    "run_id": "r1", "started_at": "2026-03-01T10:30:00Z", "model": "mine", "model_sha256": "0" * 64, "n_layers": 2,
    "n_experts": 3, "mode": "topk", "budget": 0.5, "config": {"seed": 7}, "software": {"torch": "2"},
}  # fmt: skip


def request_table() -> Table:
    return {"run_id": ["r1", "r1"], "request_id": ["a", "b"], "n_tokens": [2, 1]}


def decision_table() -> Table:
    """12 rows: for every token and layer expert 1 ran and expert 2 did not. Rows 0 to 7 are of request a."""
    keys = [("a", 0, 0), ("a", 0, 1), ("a", 1, 0), ("a", 1, 1), ("b", 0, 0), ("b", 0, 1)]
    rows = [(*key, expert) for key in keys for expert in (1, 2)]
    return {
        "run_id": ["r1"] * len(rows),
        "request_id": [row[0] for row in rows],
        "position": [row[1] for row in rows],
        "layer": [row[2] for row in rows],
        "expert_id": [row[3] for row in rows],
        "rank": [row[3] - 1 for row in rows],
        "selected": [row[3] == 1 for row in rows],
        "logit": [2.5 - row[3] for row in rows],
        "prob": [0.75 if row[3] == 1 else 0.25 for row in rows],
        "gate_weight": [1.0 if row[3] == 1 else 0.0 for row in rows],
        "margin": [0.5 if row[3] == 1 else -0.5 for row in rows],
        "flags": [0] * len(rows),
    }


def token_table() -> Table:
    return {
        "run_id": ["r1"] * 3, "request_id": ["a", "a", "b"], "position": [0, 1, 0], "token_id": [11, 12, 13],
        "is_special": [True, False, False],
    }  # fmt: skip


def write_folder(
    folder: Path, *, runs: Any = RUN, requests: Mapping[str, Any] | None = None,
    decisions: Mapping[str, Any] | None = None, tokens: Mapping[str, Any] | None = None,
) -> Path:  # fmt: skip
    """Writes the tables as a user would; None means the tables above, and no tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runs.json").write_text(json.dumps(runs), encoding="utf-8")
    pq.write_table(pa.table(dict(requests or request_table())), folder / "requests.parquet")
    pq.write_table(pa.table(dict(decisions or decision_table())), folder / "decisions.parquet")
    if tokens is not None:
        pq.write_table(pa.table(dict(tokens)), folder / "tokens.parquet")
    return folder


def changed(table: Table, row: int, **values: Any) -> Table:
    """The table with other values in one row."""
    return table | {name: [*table[name][:row], value, *table[name][row + 1 :]] for name, value in values.items()}


def without(table: Table, *names: str) -> Table:
    return {name: values for name, values in table.items() if name not in names}


def reordered(table: Table, order: Sequence[int]) -> Table:
    return {name: [values[i] for i in order] for name, values in table.items()}


def bytes_of(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: folders as None, files with their content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
