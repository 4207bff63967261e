"""What an audit reads from the log; the SQL, grain and columns are in `sql/audit/<name>.sql`.

As in `queries.py`: parameters are bound, integers are int64, an unknown number is NaN. Nothing here knows a group:
which column divides the requests is decided where the frames are put together (`analysis/audit/documents.py`).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from moe_core.errors import LogError, RunNotFoundError
from moe_core.log import queries
from moe_core.log.index import Index

_SQL_DIR = Path(__file__).parent / "sql" / "audit"


def runs_to_audit(index: Index, run_ids: Sequence[str] = ()) -> pd.DataFrame:
    """-> rows of `queries.list_runs`: the named runs, or the newest one that has decisions. Raises RunNotFoundError for
    a run that the store does not hold, and LogError where the runs are of different models: expert 3 of one has nothing
    to do with expert 3 of another."""
    runs = queries.list_runs(index)
    for run_id in run_ids:
        if run_id not in set(runs["run_id"]):
            raise RunNotFoundError(f"The store {index.store.path} holds no run {run_id!r}.")
    newest = runs[(runs["n_decisions"] > 0) & runs["escalates"].isna()].head(1)  # second passes see doubtful texts only
    chosen = runs[runs["run_id"].isin(run_ids)] if run_ids else newest
    if chosen.empty:
        raise LogError(f"The store {index.store.path} holds no decisions: record something first (`routelens infer`).")
    if len(chosen[["model", "model_sha256", "n_layers", "n_experts"]].drop_duplicates()) > 1:
        raise LogError(f"The runs {', '.join(chosen['run_id'])} are of different models: audit them one by one.")
    return chosen.reset_index(drop=True)


def audit_requests(index: Index, run_ids: Sequence[str]) -> pd.DataFrame:
    """-> (run_id, request_id, started_at, latency_ms, n_tokens, n_characters, domain, attributes, label, score,
    reference_label, active_fraction, flops, flops_dense, budget, mode, actor) one row per request."""
    return _ask(index, "audit_requests", run_ids)


def routing_counts(index: Index, run_ids: Sequence[str]) -> pd.DataFrame:
    """-> (run_id, request_id, layer, expert_id, n, n_first) one row per request and expert of its decisions."""
    return _ask(index, "routing_counts", run_ids)


def token_rarity(index: Index, run_ids: Sequence[str]) -> pd.DataFrame:
    """-> (run_id, request_id, median_log_count, rare_log_count, n_known) one row per request with known tokens."""
    return _ask(index, "token_rarity", run_ids)


def dense_answers(index: Index, run_ids: Sequence[str]) -> pd.DataFrame:
    """-> (run_id, request_id, label, dense_label, dense_score) one row per request whose text the dense original of the
    same model answered too."""
    return _ask(index, "dense_answers", run_ids)


def damage_of_runs(index: Index, run_ids: Sequence[str]) -> pd.DataFrame:
    """-> (left_out_batches, left_out_decisions, unrecorded_requests) one row."""
    return _ask(index, "damage_of_runs", run_ids)


def audit_frames(index: Index, run_ids: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """All that an audit of these runs reads, by the names of `analysis/audit/question.LogFrames`. Raises as
    `runs_to_audit`."""
    runs = runs_to_audit(index, run_ids)
    ids = [str(run_id) for run_id in runs["run_id"]]
    return {
        "runs": runs, "requests": audit_requests(index, ids), "decisions": routing_counts(index, ids),
        "rarity": token_rarity(index, ids), "dense_answers": dense_answers(index, ids),
        "damage": damage_of_runs(index, ids),
    }  # fmt: skip


@cache
def _sql(name: str) -> str:
    return (_SQL_DIR / f"{name}.sql").read_text(encoding="utf-8")


def _ask(index: Index, name: str, run_ids: Sequence[str]) -> pd.DataFrame:
    frame = index.frame(_sql(name), {"run_ids": list(run_ids)})
    narrow = frame.select_dtypes(["int8", "int16", "int32", "uint8", "uint16", "uint32"])
    return frame.astype({name: "float64" if narrow[name].hasnans else "int64" for name in narrow.columns})
