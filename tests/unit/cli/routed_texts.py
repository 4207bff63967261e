"""Logs made in another way than the ones the audit was measured on: words with a Zipf distribution of their own
routing, texts of Zipf lengths, three groups, threshold routing with a varying number of experts or true top-k without
repetition, and, where wanted, scores of two experts in one layer multiplied for one group.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LAYERS, EXPERTS, WORDS = 3, 6, 300
GROUPS = ("north", "south", "west")
PLANTED_LAYER, PLANTED_EXPERTS = 1, (2, 4)
Rule = Literal["threshold", "topk"]


@dataclass(frozen=True, slots=True)
class Texts:
    """Decisions in which an expert ran, as parallel arrays; `group_R`, `length_R` of each request."""

    group_R: np.ndarray
    length_R: np.ndarray
    request_N: np.ndarray
    position_N: np.ndarray
    layer_N: np.ndarray
    expert_N: np.ndarray
    rank_N: np.ndarray


def make_texts(rng: np.random.Generator, per_group: int, *, rule: Rule, factor: float = 1.0) -> Texts:
    """`factor` multiplies the scores of the planted experts in group "west"."""
    n = 3 * per_group
    group_R = rng.permutation(n) % 3
    length_R = np.minimum(4 + rng.zipf(1.6, n), 150)
    word_TLE = rng.normal(0, 1.0, (WORDS, LAYERS, EXPERTS))
    request_T = np.repeat(np.arange(n), length_R)
    word_T = np.minimum(rng.zipf(1.3, len(request_T)), WORDS) - 1
    topic_RLE = rng.normal(0, 0.5, (n, LAYERS, EXPERTS))
    score_TLE = np.exp(word_TLE[word_T] + topic_RLE[request_T] + rng.normal(0, 0.4, (len(request_T), LAYERS, EXPERTS)))
    west_T = group_R[request_T] == 2
    score_TLE[np.ix_(west_T, [PLANTED_LAYER], list(PLANTED_EXPERTS))] *= factor
    order_TLE = np.argsort(-score_TLE, axis=2)
    sorted_TLE = np.take_along_axis(score_TLE, order_TLE, axis=2)
    if rule == "topk":
        ran_TLE = np.broadcast_to(np.arange(EXPERTS) < 2, order_TLE.shape)
    else:
        ran_TLE = sorted_TLE >= 0.35 * sorted_TLE[:, :, :1]
    token_N, layer_N, rank_N = np.nonzero(ran_TLE)
    starts_R = np.cumsum(length_R) - length_R
    return Texts(
        group_R=group_R, length_R=length_R, request_N=request_T[token_N],
        position_N=token_N - starts_R[request_T[token_N]], layer_N=layer_N,
        expert_N=order_TLE[token_N, layer_N, rank_N], rank_N=rank_N,
    )  # fmt: skip


def write_texts(folder: Path, texts: Texts, run_id: str, **columns: Any) -> Path:
    """A folder for `routelens import parquet`; `columns`: more columns of requests."""
    folder.mkdir(parents=True, exist_ok=True)
    n, rows = len(texts.group_R), len(texts.request_N)
    run = {"run_id": run_id, "n_layers": LAYERS, "n_experts": EXPERTS, "model": "other", "mode": "topk"}
    (folder / "runs.json").write_text(json.dumps(run), encoding="utf-8")
    names = [f"{run_id}-{i}" for i in range(n)]
    requests = {
        "run_id": [run_id] * n, "request_id": names, "n_tokens": texts.length_R.tolist(),
        "text": ["x" * int(4 * length) for length in texts.length_R],
        "attributes": [json.dumps({"region": GROUPS[g], "tone": "ab"[i % 2]}) for i, g in enumerate(texts.group_R)],
    }  # fmt: skip
    pq.write_table(pa.table(requests | columns), folder / "requests.parquet")
    pq.write_table(
        pa.table({
            "run_id": [run_id] * rows, "request_id": [names[r] for r in texts.request_N],
            "position": texts.position_N, "layer": texts.layer_N, "expert_id": texts.expert_N, "rank": texts.rank_N,
            "selected": np.ones(rows, bool),
        }),
        folder / "decisions.parquet",
    )  # fmt: skip
    return folder
