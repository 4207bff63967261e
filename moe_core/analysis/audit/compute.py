"""What a group pays: tokens per character, experts per token, their product, floating-point operations.

Latency is described and not tested: a request waits for the batch that it is answered in, so that its latency is that
of the batch and of whatever else the machine does.

Tokens per character stand beside experts per token, so that sparse routing cannot hide that a language needs more
tokens. Both depend on what the texts say; only parallel texts compare languages.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from moe_core.analysis.audit.counts import Floats
from moe_core.analysis.audit.documents import Documents, of_documents
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.value_tests import value_tests
from moe_core.analysis.message import N_, Message

UNITS = {
    "tokens_per_character": "tokens",
    "experts_per_token": "experts, mean over layers",
    "experts_per_character": "experts, mean over layers",
    "flops_per_token": "floating-point operations",
    "flops_per_character": "floating-point operations",
    "flops_share_of_dense": "share",
}
LATENCY = "latency_ms"
LATENCY_NOTE = N_("descriptive, not tested: latency is that of the batch a request was answered in")
FEW_HAVE_IT = N_("fewer than two groups have it in {n} documents")
_QUANTILES = (0.5, 0.95)
_LATENCY_RESAMPLES = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeResult:
    """`metrics`: as `value_tests`, and `large` (beyond the relative difference `compute_difference`), `flagged`.
    `latency`: (group, n, p50_ms, p50_low, p50_high, p95_ms, p95_low, p95_high), part of no verdict. `equal`: names of
    what is the same for every document by construction. `missing`: name -> why it is not there."""

    metrics: pd.DataFrame
    latency: pd.DataFrame
    equal: tuple[str, ...]
    missing: dict[str, Message]

    @property
    def flagged(self) -> bool:
        return bool(self.metrics["flagged"].any())


def audit_compute(documents: Documents, settings: AuditSettings) -> ComputeResult:
    """Of all documents, whatever the strata: what people are charged is charged."""
    values = _values(documents)
    has_flops = bool((documents.requests["flops"] > 0).any())
    missing = {name: _why(name, has_flops) for name, value_D in values.items() if not np.isfinite(value_D).any()}
    known = {name: value_D for name, value_D in values.items() if name not in missing}
    metrics = value_tests(known, documents.counts, settings)
    missing |= {
        name: Message(FEW_HAVE_IT, {"n": settings.least_group}) for name in known if name not in set(metrics["metric"])
    }
    if not documents.requests["latency_ms"].notna().any():
        missing[LATENCY] = Message(N_("the log holds no latency"))
    ratio = metrics["ratio"].astype(float)
    metrics["large"] = ~((ratio - 1).abs() < settings.compute_difference)
    metrics["flagged"] = metrics["large"] & (metrics["p_maxt"].astype(float) <= settings.alpha)
    equal = tuple(dict.fromkeys(metrics.loc[metrics["p_maxt"].isna(), "metric"]))
    return ComputeResult(
        metrics=metrics, latency=_latency(documents, settings), equal=equal, missing=missing
    )


def _values(documents: Documents) -> dict[str, Floats]:
    requests, counts = documents.requests, documents.counts
    known = requests["n_characters"].notna() & (requests["n_characters"] > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        tokens_D = of_documents(documents, requests["n_tokens"], "sum")
        tokens_known_D = of_documents(documents, requests["n_tokens"].where(known), "sum")
        characters_D = of_documents(documents, requests["n_characters"].where(known), "sum")
        flops_D = of_documents(documents, requests["flops"].where(requests["flops"] > 0), "sum")
        dense_D = of_documents(documents, requests["flops_dense"].where(requests["flops_dense"] > 0), "sum")
        experts_D = counts.counts_DLE.sum(axis=(1, 2), dtype=np.int64) / counts.tokens_DL.sum(axis=1, dtype=np.int64)
        per_character_D = tokens_known_D / characters_D
        return {
            "tokens_per_character": per_character_D,
            "experts_per_token": experts_D,
            "experts_per_character": experts_D * per_character_D,
            "flops_per_token": flops_D / tokens_D,
            "flops_per_character": flops_D / tokens_D * per_character_D,
            "flops_share_of_dense": flops_D / dense_D,
        }


def _why(name: str, has_flops: bool) -> Message:
    if "flops" in name and ("character" not in name or not has_flops):
        return Message(N_("the log holds no FLOPs"))
    return Message(N_("no text is on record"))


def _latency(documents: Documents, settings: AuditSettings) -> pd.DataFrame:
    """Quantiles over the documents of each group, intervals by document bootstrap."""
    rng = np.random.default_rng([settings.seed, 6])
    value_D = of_documents(documents, documents.requests["latency_ms"], "mean")
    rows: list[dict[str, Any]] = []
    for g, name in enumerate(documents.counts.groups):
        known = value_D[(documents.counts.group_D == g) & np.isfinite(value_D)]
        if len(known) < settings.least_group:
            continue
        drawn = np.quantile(
            known[rng.integers(0, len(known), (_LATENCY_RESAMPLES, len(known)))], _QUANTILES, axis=1
        )
        row: dict[str, Any] = {"group": name, "n": len(known)}
        for label, q, of_q in zip(("p50", "p95"), _QUANTILES, drawn, strict=True):
            row |= {f"{label}_ms": float(np.quantile(known, q)), f"{label}_low": float(np.quantile(of_q, 0.025)),
                    f"{label}_high": float(np.quantile(of_q, 0.975))}  # fmt: skip
        rows.append(row)
    columns = ["group", "n", *(f"{p}_{what}" for p in ("p50", "p95") for what in ("ms", "low", "high"))]
    return pd.DataFrame(rows, columns=columns)
