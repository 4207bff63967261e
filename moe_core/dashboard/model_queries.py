"""Questions about all adaptive runs of one model, as frames; the SQL lies in `sql/`, one file per question.

Runs of different models are never added up: expert 3 of one model has nothing to do with expert 3 of another.
"""

from functools import cache
from pathlib import Path

import pandas as pd

from moe_core.log.index import Index

_SQL_DIR = Path(__file__).resolve().parent / "sql"


def model_expert_load(index: Index, model_sha256: str, domain: str | None = None) -> pd.DataFrame:
    """-> (layer, expert_id, n, gate_sum, prob_sum, mean_margin, floor_n) one row per expert, n = 0 included."""
    return index.frame(_sql("model_expert_load"), {"model_sha256": model_sha256, "domain": domain})


def model_active(index: Index, model_sha256: str, domain: str | None = None) -> pd.DataFrame:
    """-> (layer, num_active, tokens) one row per layer and number of experts that ran for a token."""
    return index.frame(_sql("model_active"), {"model_sha256": model_sha256, "domain": domain})


def model_domains(index: Index, model_sha256: str) -> pd.DataFrame:
    """-> (domain, requests, tokens, expert_compute, flops_share) one row per domain."""
    return index.frame(_sql("model_domains"), {"model_sha256": model_sha256})


def dense_pairs(index: Index, model_sha256: str) -> pd.DataFrame:
    """-> (budget, n, same) one row per budget: texts answered in both modes, and with the same label."""
    return index.frame(_sql("dense_pairs"), {"model_sha256": model_sha256})


def newest_answers(index: Index, model_sha256: str, limit: int) -> pd.DataFrame:
    """-> (request_id, text, label, head) the newest adaptive answer to each text, newest first."""
    return index.frame(_sql("newest_answers"), {"model_sha256": model_sha256, "limit": limit})


@cache
def _sql(name: str) -> str:
    return (_SQL_DIR / f"{name}.sql").read_text(encoding="utf-8")
