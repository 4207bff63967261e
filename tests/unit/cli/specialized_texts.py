"""Logs with planted specialists, made in another way than `tests/unit/analysis/specialization/simulate.py`: sentences
of words and numbers, top-k routing of scores by word, written as the files of an import."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NOUNS = [f"{a}{b}{c}" for a in "bdklm" for b in "aeiou" for c in ("n", "r", "st")]
DOMAINS = ("harbour", "garden", "office")


def sentences(rng: np.random.Generator, n: int) -> tuple[list[str], list[str]]:
    """Texts and their domains; a tenth of the words are numbers, texts differ in length by a factor of ten."""
    texts = []
    for length in np.clip(rng.pareto(1.5, n) * 8 + 6, 6, 80).astype(int):
        words = [str(rng.integers(10, 99)) if rng.random() < 0.1 else str(rng.choice(NOUNS)) for _ in range(length)]
        texts.append(" ".join(words))
    return texts, [DOMAINS[i] for i in rng.integers(0, 3, n)]


def write_run(
    folder: Path, rng: np.random.Generator, texts: list[str], ids: list[list[int]], is_number: list[list[bool]],
    *, domains: list[str] | None, n_layers: int = 2, n_experts: int = 8, k: int = 2,
    number_expert: tuple[int, int] | None = None, domain_expert: tuple[int, int] | None = None, with_text: bool = True,
    run_id: str = "planted", **run: Any,
) -> Path:  # fmt: skip
    """A folder for `routelens import parquet`. The experts named are preferred for numbers, and for "harbour"."""
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, list[Any]] = {name: [] for name in ("request_id", "position", "layer", "expert_id", "token_id")}
    for number, tokens in enumerate(ids):
        score = rng.normal(0, 1, (len(tokens), n_layers, n_experts)) + rng.normal(0, 0.4, (n_layers, n_experts))
        if number_expert is not None:
            score[np.array(is_number[number]), number_expert[0], number_expert[1]] += 3
        if domain_expert is not None and domains is not None and domains[number] == DOMAINS[0]:
            score[:, domain_expert[0], domain_expert[1]] += 2
        best = np.argsort(-score, axis=2)[:, :, :k]
        position, layer, _ = np.meshgrid(range(len(tokens)), range(n_layers), range(k), indexing="ij")
        columns["request_id"] += [f"{run_id}/{number}"] * best.size
        columns["position"] += position.ravel().tolist()
        columns["layer"] += layer.ravel().tolist()
        columns["expert_id"] += best.ravel().tolist()
        columns["token_id"] += np.array(tokens)[position.ravel()].tolist()
    about = {"run_id": run_id, "n_layers": n_layers, "n_experts": n_experts, "model": "elsewhere", "mode": "topk"} | run
    (folder / "runs.json").write_text(json.dumps(about), encoding="utf-8")
    requests: dict[str, list[Any]] = {
        "run_id": [run_id] * len(ids), "request_id": [f"{run_id}/{number}" for number in range(len(ids))],
        "n_tokens": [len(tokens) for tokens in ids],
    }  # fmt: skip
    if with_text:
        requests["text"] = list(texts)
    if domains is not None:
        requests["domain"] = list(domains)
    pq.write_table(pa.table(requests), folder / "requests.parquet")
    pq.write_table(
        pa.table({"run_id": [run_id] * len(columns["layer"])} | columns), folder / "decisions.parquet"
    )  # fmt: skip
    return folder
