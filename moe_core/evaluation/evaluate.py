"""Measures a model folder on everything that can be measured here, and writes evaluation.json into it."""

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moe_core.errors import InputError
from moe_core.evaluation import arms, quality
from moe_core.evaluation.difficulty import measure_difficulty
from moe_core.evaluation.escalation import sweep
from moe_core.evaluation.labelled import LabelledTexts, read_labelled
from moe_core.evaluation.lost_experts import measure_lost
from moe_core.model.checkpoint import MEASUREMENTS
from moe_core.model.encoder import PackedTexts
from moe_core.model.heads import train_head
from moe_core.model.reference import RoutedModel
from moe_core.model.router import Routing

COLD = 0.1  # of an equal share


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """What to measure on. tasks: folder of <head name>/test.jsonl; unseen: folders with train.jsonl and test.jsonl of
    tasks that nothing was trained on; behaviour: JSON lines for the sentiment head; n: texts per test set."""

    tasks: Path
    unseen: Sequence[Path] = ()
    behaviour: Path | None = None
    budgets: tuple[float, ...] = (1.0, 0.5, 0.35, 0.25, 0.15)
    base_budgets: tuple[float, ...] = (0.25, 0.15)
    n: int = 2000
    max_tokens: int = 192
    lost_n: int = 400
    lost_singles: int = 96
    lost_pairs: int = 32
    lost_budget: float = 0.35
    seed: int = 0


@dataclass(slots=True)
class _Results:
    document: dict[str, Any]
    short: dict[str, tuple[LabelledTexts, list[list[int]]]] = field(default_factory=dict)


def evaluate(model: RoutedModel, config: EvaluationConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (what was measured, the document so far); the last document is complete and written to the folder.

    Raises InputError where there is nothing to measure on.
    """
    budgets = [b for b in config.budgets if b >= model.calibration.smallest_budget]
    document: dict[str, Any] = {
        "format": 1,
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "model_sha256": model.sha256,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread(s), torch {torch.__version__}",
        "budgets": budgets, "max_tokens": config.max_tokens,
        "tasks": [], "unseen": [], "escalation": [],
    }  # fmt: skip
    results = _Results(document)
    for name in sorted(model.heads):
        path = config.tasks / name / "test.jsonl"
        if path.is_file():
            _task(model, config, results, name, read_labelled(path), budgets)
            yield name, document
    if config.behaviour is not None and "sentiment" in model.heads:
        _behaviour(model, config, results, read_labelled(config.behaviour), budgets)
        yield "behaviour", document
    for folder in config.unseen:
        _unseen(model, config, results, folder, budgets)
        yield folder.name, document
    if not document["tasks"]:
        raise InputError(
            f"{config.tasks} holds no test set of a head of this model: run `routelens data get sentiment`."
        )
    document["lost_experts"] = measure_lost(
        model, results.short, budget=config.lost_budget, singles=config.lost_singles, pairs=config.lost_pairs
    )
    yield "lost experts", document
    pool = [ids for _, rows in results.short.values() for ids in rows]
    document["difficulty"] = measure_difficulty(model, pool, config.lost_budget)
    document["layers"], document["load"] = _work(model, pool, budgets)
    path = model.folder / MEASUREMENTS
    if path.is_file():  # wall times are measured elsewhere (`routelens bench model`), on a quiet machine
        old = json.loads(path.read_text(encoding="utf-8"))
        if old.get("model_sha256") == model.sha256:
            document["wall"] = old.get("wall", [])
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    yield "all", document


def _task(
    model: RoutedModel, config: EvaluationConfig, results: _Results, name: str, data: LabelledTexts,
    budgets: Sequence[float],
) -> None:  # fmt: skip
    data = data.sample(config.n, config.seed)
    ids = arms.tokenize(model, data.texts, config.max_tokens)
    sides = quality.embed_all(model, ids, budgets)
    head = model.head(name)
    entry = quality.measure_task(name, "shipped", head, data, sides)
    entry["dense_only_accuracy"] = head.card.dense_only_accuracy
    results.document["tasks"].append(entry)
    bases = [b for b in config.base_budgets if b in budgets]
    results.document["escalation"] += sweep(name, head, data, sides, bases)
    if np.mean([len(row) for row in ids]) < 64:  # lost experts are measured on short texts, where they run 100 times
        few = data.sample(config.lost_n, config.seed)
        results.short[name] = (few, arms.tokenize(model, few.texts, config.max_tokens))


def _behaviour(
    model: RoutedModel, config: EvaluationConfig, results: _Results, data: LabelledTexts, budgets: Sequence[float]
) -> None:
    sides = quality.embed_all(model, arms.tokenize(model, data.texts, config.max_tokens), budgets)
    head = model.head("sentiment")
    entry = quality.measure_task("behaviour_cases", "unseen", head, data, sides)
    entry["slices"] = _slices(head, data, sides)
    results.document["unseen"].append(entry)
    bases = [b for b in config.base_budgets if b in budgets]
    results.document["escalation"] += sweep("behaviour_cases", head, data, sides, bases)


def _slices(head: Any, data: LabelledTexts, sides: dict[quality.Key, arms.Embedded]) -> list[dict[str, Any]]:
    right, names = np.asarray(data.labels), np.asarray(data.domains)
    answers = {key: np.asarray(quality.judge(head, side)[0]) for key, side in sides.items() if key[0] != "topk"}
    dense = answers[quality.DENSE]
    rows = []
    for name in sorted(set(names.tolist())):
        mine = names == name
        row: dict[str, Any] = {"slice": name, "n": int(mine.sum()), "dense": float((dense == right)[mine].mean())}
        row["accuracy"] = {f"{b:g}": float((a == right)[mine].mean()) for (r, b), a in answers.items() if r != "dense"}
        row["agreement"] = {f"{b:g}": float((a == dense)[mine].mean()) for (r, b), a in answers.items() if r != "dense"}
        rows.append(row)
    return rows


def _unseen(
    model: RoutedModel, config: EvaluationConfig, results: _Results, folder: Path, budgets: Sequence[float]
) -> None:
    train = read_labelled(folder / "train.jsonl").sample(2 * config.n, config.seed)
    data = read_labelled(folder / "test.jsonl").sample(config.n, config.seed)
    seen = arms.embed(model, arms.tokenize(model, train.texts, config.max_tokens), None)
    head = train_head(folder.name, seen.embeddings_ND, train.labels, seed=config.seed)
    sides = quality.embed_all(model, arms.tokenize(model, data.texts, config.max_tokens), budgets)
    entry = quality.measure_task(folder.name, "unseen", head, data, sides)
    entry["n_train"] = len(train)
    results.document["unseen"].append(entry)
    bases = [b for b in config.base_budgets if b in budgets]
    results.document["escalation"] += sweep(folder.name, head, data, sides, bases)


def _work(
    model: RoutedModel, ids: Sequence[Sequence[int]], budgets: Sequence[float]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Active share by layer, and how uneven the load of the experts is, at every budget."""
    layers, loads = [], []
    for budget in budgets:
        counts_LE = np.zeros((model.config.n_layers, model.config.n_experts))
        tokens = 0

        def visit(packed: PackedTexts, _: torch.Tensor, routings: list[Routing], counts_LE: Any = counts_LE) -> None:
            nonlocal tokens
            tokens += len(packed.ids_T)
            for layer, routing in enumerate(routings):
                counts_LE[layer] += (routing.gates_TE > 0).sum(dim=0).numpy()

        arms.embed(model, ids, arms.adaptive(model, budget), visit=visit)
        shares_LE = counts_LE / tokens
        layers += [{"budget": budget, "layer": layer, "active_fraction": float(row.mean())}
                   for layer, row in enumerate(shares_LE)]  # fmt: skip
        relative_LE = shares_LE / shares_LE.mean(axis=1, keepdims=True)
        loads.append({"budget": budget, "busiest_ratio": float(relative_LE.max()), "dead": int((counts_LE == 0).sum()),
                      "cold": int(((relative_LE < COLD) & (counts_LE > 0)).sum()), "n_tokens": tokens})  # fmt: skip
    return layers, loads
