"""Measures a model folder on everything that can be measured here, and writes evaluation.json into it."""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moe_core.errors import InputError
from moe_core.evaluation import arms, quality
from moe_core.evaluation.difficulty import measure_difficulty
from moe_core.evaluation.escalation import sweep
from moe_core.evaluation.findings import findings
from moe_core.evaluation.labelled import LabelledTexts, read_labelled
from moe_core.evaluation.lost_experts import LossPlan, measure_lost
from moe_core.model.checkpoint import MEASUREMENTS, read_json
from moe_core.model.heads import train_head
from moe_core.model.reference import RoutedModel

COLD = 0.1  # of an equal share


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """What to measure on. tasks: folder of <head name>/test.jsonl; unseen: folders with train.jsonl and test.jsonl of
    tasks that nothing was trained on; behaviour: JSON lines for the sentiment head. Of every test set at most `n` texts
    and `task_tokens` tokens are used, texts cut at `max_tokens`; `train_n`: training texts of an unseen task.
    only: parts to measure again (a head, `behaviour`, an unseen task, `lost experts`, `difficulty`); the rest stays."""

    tasks: Path
    unseen: Sequence[Path] = ()
    behaviour: Path | None = None
    budgets: tuple[float, ...] = (1.0, 0.5, 0.35, 0.25, 0.15)
    base_budgets: tuple[float, ...] = (0.25, 0.15)
    n: int = 4000
    task_tokens: int = 40_000
    train_n: int = 4000
    max_tokens: int = 192
    difficulty_tokens: int = 30_000
    lost: LossPlan = LossPlan()  # noqa: RUF009 - frozen
    seed: int = 0
    only: Sequence[str] = ()

    def wants(self, part: str) -> bool:
        return not self.only or part in self.only

    @classmethod
    def quick(cls, tasks: Path, **given: Any) -> "EvaluationConfig":
        """Small samples: a look, not a finding."""
        lost = LossPlan(singles=6, pairs=4, screen_tokens=600, confirm=1)
        small: dict[str, Any] = {
            "n": 300,
            "task_tokens": 5000,
            "train_n": 700,
            "max_tokens": 96,
            "difficulty_tokens": 4000,
        }
        return cls(tasks=tasks, lost=lost, **{**small, **given})


@dataclass(slots=True)
class _Results:
    document: dict[str, Any]
    tasks: dict[str, tuple[LabelledTexts, list[list[int]]]] = field(default_factory=dict)
    adaptive: dict[float, list[arms.Embedded]] = field(default_factory=dict)


def evaluate(model: RoutedModel, config: EvaluationConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (what was measured, the document so far); the last document is complete and written to the folder.

    Raises InputError where there is nothing to measure on.
    """
    budgets = [b for b in config.budgets if b >= model.calibration.smallest_budget]
    found = [name for name in sorted(model.heads) if (config.tasks / name / "test.jsonl").is_file()]
    if not found:
        raise InputError(
            f"{config.tasks} holds no test set of a head of this model: run `routelens data get sentiment`."
        )
    cases = read_labelled(config.behaviour) if config.behaviour is not None and "sentiment" in model.heads else None
    new = [_read_unseen(folder) for folder in config.unseen]  # refused now, not after the first ten minutes
    parts = [*found, *(["behaviour"] if cases else []), *(task.name for task in new), "lost experts", "difficulty"]
    if wrong := [part for part in config.only if part not in parts]:
        raise InputError(f"--only {wrong[0]}: no such part here; use one of {', '.join(parts)}.")
    results = _Results(_head_of_document(model, config, budgets))
    document = results.document | (_measured_before(model) if config.only else {})
    results.document = document
    for name in found:
        results.tasks[name] = _taken(model, config, read_labelled(config.tasks / name / "test.jsonl"), config.n)
        if config.wants(name):
            _task(model, config, results, name, budgets)
            yield name, document
    if cases is not None and config.wants("behaviour"):
        _behaviour(model, config, results, cases, budgets)
        yield "behaviour", document
    for task in new:
        if config.wants(task.name):
            _unseen(model, config, results, task, budgets)
            yield task.name, document
    lost = config.lost
    if lost.budget >= model.calibration.smallest_budget:
        if config.wants("lost experts"):
            document["lost_experts"] = measure_lost(model, results.tasks, lost)
            yield "lost experts", document
        if config.wants("difficulty"):
            document["difficulty"] = measure_difficulty(model, _mixed(results, config.difficulty_tokens), lost.budget)
            yield "difficulty", document
    if not config.only:
        document["layers"], document["load"] = _work(results.adaptive)
        document |= _kept_wall(model)
    document["findings"] = [asdict(finding) for finding in findings(document)]
    path = model.folder / MEASUREMENTS
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    yield "all", document


def _measured_before(model: RoutedModel) -> dict[str, Any]:
    """Raises InputError unless evaluation.json is of these weights."""
    path = model.folder / MEASUREMENTS
    document = read_json(path) if path.is_file() else {}
    if document.get("model_sha256") != model.sha256:
        raise InputError(f"{path} holds no figures of these weights: measure everything once, without --only.")
    return document


def _replace(document: dict[str, Any], key: str, entry: Mapping[str, Any], escalation: Sequence[Any]) -> None:
    """Puts a task's figures in the place of its earlier ones, or behind the others."""
    name, rows = entry["name"], document[key]
    at = next((i for i, row in enumerate(rows) if row["name"] == name), len(rows))
    rows[at : at + 1] = [entry]
    document["escalation"] = [row for row in document["escalation"] if row["task"] != name] + list(escalation)


def _head_of_document(model: RoutedModel, config: EvaluationConfig, budgets: Sequence[float]) -> dict[str, Any]:
    return {
        "format": 1,
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "model_sha256": model.sha256,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread(s), torch {torch.__version__}",
        "budgets": list(budgets), "max_tokens": config.max_tokens, "task_tokens": config.task_tokens,
        "tasks": [], "unseen": [], "escalation": [],
    }  # fmt: skip


def _kept_wall(model: RoutedModel) -> dict[str, Any]:
    """Wall times are measured elsewhere (`routelens bench model`), on a quiet machine: those of these weights stay."""
    path = model.folder / MEASUREMENTS
    old = read_json(path) if path.is_file() else {}
    if old.get("model_sha256") != model.sha256:
        return {"wall": []}
    return {key: old[key] for key in ("wall", "wall_made", "wall_machine") if key in old}


def _task(model: RoutedModel, config: EvaluationConfig, results: _Results, name: str, budgets: Sequence[float]) -> None:
    data, ids = results.tasks[name]
    sides = quality.embed_all(model, ids, budgets)
    head = model.head(name)
    entry = quality.measure_task(name, "shipped", head, data, sides)
    bases = [b for b in config.base_budgets if b in budgets]
    _replace(results.document, "tasks", entry, sweep(name, head, data, sides, bases))
    for budget in budgets:
        results.adaptive.setdefault(budget, []).append(sides["adaptive", budget])


def _mixed(results: _Results, most_tokens: int) -> list[list[int]]:
    """Texts of all tasks, the same number of tokens of each."""
    share = most_tokens // len(results.tasks)
    chosen: list[list[int]] = []
    for _, ids in results.tasks.values():
        fitting = int(np.searchsorted(np.cumsum([len(row) for row in ids]), share, side="right"))
        chosen += ids[: max(1, fitting)]
    return chosen


def _behaviour(
    model: RoutedModel, config: EvaluationConfig, results: _Results, data: LabelledTexts, budgets: Sequence[float]
) -> None:
    sides = quality.embed_all(model, arms.tokenize(model, data.texts, config.max_tokens), budgets)
    head = model.head("sentiment")
    entry = quality.measure_task("behaviour_cases", "unseen", head, data, sides)
    entry["slices"] = quality.slices(head, data, sides)
    bases = [b for b in config.base_budgets if b in budgets]
    _replace(results.document, "unseen", entry, sweep("behaviour_cases", head, data, sides, bases))


@dataclass(frozen=True, slots=True)
class _Unseen:
    name: str
    train: LabelledTexts
    test: LabelledTexts


def _read_unseen(folder: Path) -> _Unseen:
    task = _Unseen(folder.resolve().name, *(read_labelled(folder / f"{side}.jsonl") for side in ("train", "test")))
    if shared := set(task.train.texts) & set(task.test.texts):
        raise InputError(
            f"{len(shared)} texts of {folder} stand in train.jsonl and in test.jsonl: remove them from one."
        )
    return task


def _unseen(
    model: RoutedModel, config: EvaluationConfig, results: _Results, task: _Unseen, budgets: Sequence[float]
) -> None:
    """A head fitted on embeddings of the dense original alone reads adaptive ones unchanged."""
    train, train_ids = _taken(model, config, task.train, config.train_n)
    data, ids = _taken(model, config, task.test, config.n)
    head = train_head(task.name, arms.embed(model, train_ids, None).embeddings_ND, train.labels, seed=config.seed)
    sides = quality.embed_all(model, ids, budgets)
    entry = quality.measure_task(task.name, "unseen", head, data, sides)
    entry["n_train"] = len(train)
    bases = [b for b in config.base_budgets if b in budgets]
    _replace(results.document, "unseen", entry, sweep(task.name, head, data, sides, bases))


def _taken(
    model: RoutedModel, config: EvaluationConfig, data: LabelledTexts, n: int
) -> tuple[LabelledTexts, list[list[int]]]:
    """At most `n` texts in random order, as many as hold `task_tokens` tokens together, and their token ids."""
    data = data.shuffled(config.seed).first(n)
    ids = arms.tokenize(model, data.texts, config.max_tokens)
    fitting = int(np.searchsorted(np.cumsum([len(row) for row in ids]), config.task_tokens, side="right"))
    return data.first(max(1, fitting)), ids[: max(1, fitting)]


def _work(counts: Mapping[float, Sequence[arms.Embedded]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Active share by layer, and how uneven the load of the experts is, at every budget, over all shipped tasks."""
    layers, loads = [], []
    for budget, sides in counts.items():
        counts_LE = np.sum([side.counts_LE for side in sides], axis=0)
        tokens = sum(side.n_tokens for side in sides)
        shares_LE = counts_LE / tokens
        layers += [{"budget": budget, "layer": layer, "active_fraction": float(row.mean())}
                   for layer, row in enumerate(shares_LE)]  # fmt: skip
        relative_LE = shares_LE / shares_LE.mean(axis=1, keepdims=True)
        loads.append({"budget": budget, "busiest_ratio": float(relative_LE.max()), "dead": int((counts_LE == 0).sum()),
                      "cold": int(((relative_LE < COLD) & (counts_LE > 0)).sum()), "n_tokens": tokens})  # fmt: skip
    return layers, loads
