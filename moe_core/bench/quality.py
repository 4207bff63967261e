"""Quality beside the cost: from the model folder's evaluation.json if it has the variant, else measured here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moe_core.bench.variants import Variant
from moe_core.bench.workload import Workload
from moe_core.model.reference import RoutedModel

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Quality:
    """Accuracy minus that of the dense original, in points, with a 95 % interval over n texts; None: not measured."""

    points: float | None
    low: float | None
    high: float | None
    n: int
    source: str


NOT_MEASURED = Quality(None, None, None, 0, "not measured")


def read_evaluation(folder: Path, model_sha256: str) -> Mapping[str, Any] | None:
    """evaluation.json of the folder if it is there, readable, and about these very weights."""
    try:
        document = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    fits = isinstance(document, dict) and document.get("model_sha256") == model_sha256
    return document if fits else None


def evaluated(document: Mapping[str, Any], variant: Variant) -> Quality | None:
    """Mean over the shipped tasks; None unless every task has a point for the rule and budget. The interval is that of
    the mean of independent tasks."""
    if variant.budget is None or variant.precision != "float32":
        return None
    points = []
    for task in document.get("tasks", []):
        found = [p for p in task.get("points", [])
                 if p.get("rule") == variant.rule and abs(p.get("budget", -1) - variant.budget) < 1e-6]  # fmt: skip
        if not found:
            return None
        points.append((found[0], int(task["n"])))
    if not points:
        return None
    mean = float(np.mean([point["delta_points"] for point, _ in points]))
    widths = [(p["delta_high"] - p["delta_low"]) / 2 for p, _ in points if "delta_low" in p and "delta_high" in p]
    half = float(np.sqrt(np.sum(np.square(widths)))) / len(points) if len(widths) == len(points) else None
    low, high = (None, None) if half is None else (mean - half, mean + half)
    n = sum(n for _, n in points)
    return Quality(mean, low, high, n, f"evaluation.json: mean of {len(points)} shipped tasks")


def measured(model: RoutedModel, variants: Sequence[Variant], work: Workload, most: int) -> dict[str, Quality]:
    """Accuracy of the default head on up to `most` labelled demo requests, paired with the first variant (dense)."""
    head_name = model.default_head or next(iter(sorted(model.heads)), None)
    head = model.heads.get(head_name) if head_name else None
    if head is None:
        return {variant.name: NOT_MEASURED for variant in variants}
    known = set(head.card.labels)
    rows = [i for i, label in enumerate(work.labels) if label in known][:most]
    if not rows:
        return {variant.name: NOT_MEASURED for variant in variants}
    texts, labels = [work.token_ids[i] for i in rows], [work.labels[i] for i in rows]
    correct: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
    source = f"{len(rows)} labelled demo requests, head {head_name}"
    for variant in variants:
        own = variant.heads.get(str(head_name))
        if own is not None:
            with torch.inference_mode():
                answers, _, _ = own.answer(variant.embed(texts))
            correct[variant.name] = np.array([a == b for a, b in zip(answers, labels, strict=True)], dtype=float)
    base = correct[variants[0].name]
    return {
        variant.name: _paired(correct[variant.name] - base, source) if variant.name in correct else NOT_MEASURED
        for variant in variants
    }


def _paired(difference_N: "np.ndarray[Any, np.dtype[np.float64]]", source: str) -> Quality:
    """Mean difference in points with a bootstrap interval over texts."""
    n = len(difference_N)
    draws = np.random.default_rng(0).integers(0, n, size=(RESAMPLES, n))
    means = 100 * difference_N[draws].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Quality(100 * float(difference_N.mean()), float(low), float(high), n, source)
