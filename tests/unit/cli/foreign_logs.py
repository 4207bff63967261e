"""Stores for `routelens import parquet` as another project might write them: Markov documents over topics, choices from
a Dirichlet-multinomial without repetition, documents of very different lengths, few columns, shared experts, ties.

Nothing here comes from the generators of the audit's own tests.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """`shared`: experts 0 to shared-1 run for every token. `moved`: (layer, expert, log-odds) in documents of the first
    group. `flat_layer`: a layer in which every token takes the same experts."""

    layers: int = 4
    experts: int = 8
    top_k: int = 2
    shared: int = 0
    moved: tuple[tuple[int, int, float], ...] = ()
    flat_layer: int | None = None
    topic_strength: float = 0.0
    length_strength: float = 0.0
    median_tokens: int = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """One row per document in `group`, `topic`, `length`; the rest one row per decision."""

    group: list[str]
    topic_D: np.ndarray
    length_D: np.ndarray
    columns: dict[str, list[Any]] = field(default_factory=dict)


def make_log(
    rng: np.random.Generator, group: list[str], shape: Shape, *, topic_D: np.ndarray | None = None,
    length_D: np.ndarray | None = None,
) -> Log:  # fmt: skip
    """Topics and lengths may be given, so that they go together with the group."""
    n = len(group)
    topic_D = rng.integers(0, 3, n) if topic_D is None else topic_D
    if length_D is None:
        length_D = np.clip(rng.geometric(1 / shape.median_tokens, n), 4, 8 * shape.median_tokens)
    log = Log(group=group, topic_D=topic_D, length_D=length_D)
    first = sorted(set(group))[0]
    routed = shape.experts - shape.shared
    base_LE = rng.normal(0, 0.6, (shape.layers, routed))
    topic_TLE = rng.normal(0, 1.0, (3, shape.layers, routed)) * shape.topic_strength
    long_LE = rng.normal(0, 1.0, (shape.layers, routed)) * shape.length_strength
    names = ("d", "position", "layer", "expert_id", "rank", "shared")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for d in range(n):
        tokens = int(length_D[d])
        odds_LE = base_LE + topic_TLE[topic_D[d]] + long_LE * np.log(length_D[d] / shape.median_tokens)
        for layer, expert, log_odds in shape.moved:
            if group[d] == first:
                odds_LE[layer, expert - shape.shared] += log_odds
        own_LE = odds_LE + rng.gumbel(0, 0.35, odds_LE.shape)  # this document's own leaning
        state = rng.normal(0, 0.5, odds_LE.shape)  # and a drift from token to token
        for position in range(tokens):
            state = 0.8 * state + 0.6 * rng.normal(0, 0.5, odds_LE.shape)
            score_LE = own_LE + state + rng.gumbel(0, 1.0, odds_LE.shape)
            chosen_LK = np.argsort(-score_LE, axis=1, kind="stable")[:, : shape.top_k] + shape.shared
            if shape.flat_layer is not None:
                chosen_LK[shape.flat_layer] = np.arange(shape.top_k) + shape.shared
            always_LS = np.broadcast_to(np.arange(shape.shared), (shape.layers, shape.shared))
            ids_LK = np.concatenate([chosen_LK, always_LS], axis=1)
            slots = ids_LK.shape[1]
            parts["d"].append(np.full(ids_LK.size, d))
            parts["position"].append(np.full(ids_LK.size, position))
            parts["layer"].append(np.repeat(np.arange(shape.layers), slots))
            parts["expert_id"].append(ids_LK.ravel())
            parts["rank"].append(np.tile(np.arange(slots), shape.layers))
            parts["shared"].append(np.tile(np.arange(slots) >= shape.top_k, shape.layers))
    log.columns.update({name: np.concatenate(arrays).tolist() for name, arrays in parts.items()})
    return log


def write_log(
    folder: Path, log: Log, shape: Shape, *, run_id: str = "r", attributes: list[dict[str, Any]] | None = None,
    group_key: str | None = "group", **requests: Any,
) -> Path:  # fmt: skip
    """The three files; `attributes` and more columns of `requests` as given. No text, domain, logit or margin."""
    folder.mkdir(parents=True, exist_ok=True)
    n = len(log.group)
    run = {"run_id": run_id, "n_layers": shape.layers, "n_experts": shape.experts}
    (folder / "runs.json").write_text(json.dumps([run]), encoding="utf-8")
    ids = [f"{run_id}.{i}" for i in range(n)]
    given = attributes or [{} for _ in range(n)]
    if group_key is not None:
        given = [{group_key: name, **more} for name, more in zip(log.group, given, strict=True)]
    columns: dict[str, Any] = {"run_id": [run_id] * n, "request_id": ids, "n_tokens": log.length_D.tolist()}
    if any(given):
        columns["attributes"] = [json.dumps(each) for each in given]
    pq.write_table(pa.table(columns | requests), folder / "requests.parquet")
    rows = log.columns
    decisions = {
        "run_id": [run_id] * len(rows["d"]), "request_id": [ids[d] for d in rows["d"]], "position": rows["position"],
        "layer": rows["layer"], "expert_id": rows["expert_id"], "rank": rows["rank"],
        "selected": [True] * len(rows["d"]),
    }  # fmt: skip
    if shape.shared:
        decisions["flags"] = [24 if shared else 16 for shared in rows["shared"]]
    pq.write_table(pa.table(decisions), folder / "decisions.parquet")
    return folder
