"""What the findings about experts read from the log; SQL, grain and columns are in `sql/specialization/<name>.sql`.

As in `queries.py`: parameters are bound, integers are int64, an unknown number is NaN.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from moe_core.errors import LogError, RunNotFoundError
from moe_core.log import queries
from moe_core.log.index import Index

_SQL_DIR = Path(__file__).parent / "sql" / "specialization"


def run_to_describe(index: Index, run_id: str | None = None) -> pd.Series:
    """One row of `queries.list_runs`: the named run, or the one with most decisions among the newest model's first
    passes. Raises RunNotFoundError, and LogError where nothing was routed."""
    runs = queries.list_runs(index)
    if run_id is not None:
        named = runs[runs["run_id"] == run_id]
        if named.empty:
            raise RunNotFoundError(f"The store {index.store.path} holds no run {run_id!r}.")
        if not int(named.iloc[0]["n_decisions"]):
            raise LogError(f"Run {run_id} holds no decisions: the dense original routes nothing, name another run.")
        return named.iloc[0]
    routed = runs[(runs["n_decisions"] > 0) & runs["escalates"].isna()]
    if routed.empty:
        raise LogError(f"The store {index.store.path} holds no decisions: record something first (`routelens infer`).")
    same = routed[routed["model_sha256"] == routed.iloc[0]["model_sha256"]]
    return same.loc[same["n_requests"].idxmax()]


def document_experts(index: Index, run_id: str) -> pd.DataFrame:
    """-> (domain, half, layer, expert_id, documents, c, cc, cn) one row per domain, half and expert that ran."""
    return _ask(index, "document_experts", run_id=run_id)


def document_layers(index: Index, run_id: str) -> pd.DataFrame:
    """-> (domain, half, layer, documents, n, nn) one row per domain, half and layer."""
    return _ask(index, "document_layers", run_id=run_id)


def batches_of_run(index: Index, run_id: str) -> pd.DataFrame:
    """-> (batch_id, n_decisions, decisions_path, decisions_sha256, decisions_size, tokens_path, tokens_sha256,
    tokens_size) one row per batch with decisions."""
    return _ask(index, "batches_of_run", run_id=run_id)


def sampled_requests(index: Index, run_id: str, batch_ids: Sequence[str]) -> pd.DataFrame:
    """-> (request_no, request_id, domain) one row per request of these batches, by number."""
    return _ask(index, "sampled_requests", run_id=run_id, batch_ids=list(batch_ids))


def texts_of_requests(index: Index, run_id: str, request_ids: Sequence[str]) -> pd.DataFrame:
    """-> (request_id, domain, text) one row per request, in the order asked for; a text is missing after redaction."""
    found = _ask(index, "texts_of_requests", run_id=run_id, request_ids=list(request_ids)).set_index("request_id")
    return found.reindex([name for name in request_ids if name in found.index]).reset_index()


@cache
def _sql(name: str) -> str:
    return (_SQL_DIR / f"{name}.sql").read_text(encoding="utf-8")


def _ask(index: Index, name: str, **parameters: Any) -> pd.DataFrame:
    frame = index.frame(_sql(name), parameters)
    narrow = frame.select_dtypes(["int8", "int16", "int32", "uint8", "uint16", "uint32"])
    return frame.astype({name: "float64" if narrow[name].hasnans else "int64" for name in narrow.columns})
