"""Accuracy of a head at every setting against the dense original, on the same texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.evaluation import arms
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.evaluation.statistics import paired_points
from moe_core.model.calibration_error import expected_calibration_error
from moe_core.model.heads import Head
from moe_core.model.reference import RoutedModel

DENSE = ("dense", 0.0)
Key = tuple[str, float]  # rule and budget
MIN_SLICE = 30  # texts; smaller slices say too little to be called the worst


def embed_all(model: RoutedModel, ids: Sequence[Sequence[int]], budgets: Sequence[float]) -> dict[Key, arms.Embedded]:
    """The texts by the dense original, adaptively at every budget, and by fixed top-k at the same mean share."""
    result = {DENSE: arms.embed(model, ids, None)}
    for budget in budgets:
        result["adaptive", budget] = arms.embed(model, ids, model.route(budget))
    for budget in budgets:
        k = round(budget * model.config.n_experts)
        if budget < 1 and abs(k - budget * model.config.n_experts) <= 0.5 and k >= 1:
            result["topk", budget] = arms.embed(model, ids, arms.top_k(k))
    return result


def judge(head: Head, embedded: arms.Embedded) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """(labels, scores, leads) of the head on one side."""
    labels, scores, leads = head.answer(torch.from_numpy(embedded.embeddings_ND))
    return labels, np.asarray(scores), np.asarray(leads)


def measure_task(
    name: str,
    kind: str,
    head: Head,
    data: LabelledTexts,
    sides: Mapping[Key, arms.Embedded],
    worst_budget: float = 0.35,
) -> dict[str, Any]:
    """One entry of evaluation.json: every point with its paired interval, and the slice that loses most.

    Losses are measured against the better of two heads on embeddings of the dense original: this one, and the one that
    never saw sparse embeddings (`baseline`). Same answers and cosine: against the original with this head.
    """
    right = np.asarray(data.labels)
    answers = {key: judge(head, side) for key, side in sides.items()}
    same_labels = np.asarray(answers[DENSE][0])
    dense_right, dense = dense_answers(head, sides[DENSE], right)
    points = []
    for (rule, budget), side in sides.items():
        if rule == "dense":
            continue
        labels, scores, _ = answers[rule, budget]
        correct = np.asarray(labels) == right
        delta, low, high = paired_points(correct, dense_right)
        against = {}
        if rule != "adaptive":
            ours = np.asarray(answers["adaptive", budget][0]) == right
            names = ("adaptive_ahead", "adaptive_ahead_low", "adaptive_ahead_high")
            against = dict(zip(names, paired_points(ours, correct), strict=True))
        points.append(
            {
                "rule": rule, "budget": budget, "active_fraction": side.active_fraction,
                "accuracy": float(correct.mean()), "ece": expected_calibration_error(scores, correct),
                "delta_points": delta, "delta_low": low, "delta_high": high,
                "agreement": float(np.mean(np.asarray(labels) == same_labels)),
                "cosine": float((side.embeddings_ND * sides[DENSE].embeddings_ND).sum(axis=1).mean()),
                "flops_ratio": side.flops_ratio, **against,
            }
        )  # fmt: skip
    entry: dict[str, Any] = {"name": name, "kind": kind, "n": len(data), "dense": dense, "points": points}
    nearest = min((b for rule, b in sides if rule == "adaptive"), key=lambda b: abs(b - worst_budget))
    correct = np.asarray(answers["adaptive", nearest][0]) == right
    entry["worst"] = worst_slice(data, correct, dense_right, nearest)
    return entry


def dense_answers(head: Head, side: arms.Embedded, right: NDArray[np.str_]) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """(which answers are right, accuracy and calibration error) of the better head on the original's embeddings."""
    found: list[tuple[NDArray[np.bool_], dict[str, Any]]] = []
    for kind, each in (("this head", head), ("dense only", head.baseline)):
        if each is not None:
            labels, scores, _ = judge(each, side)
            correct = np.asarray(labels) == right
            error = expected_calibration_error(scores, correct)
            found.append((correct, {"accuracy": float(correct.mean()), "ece": error, "head": kind}))
    return max(found, key=lambda item: float(item[1]["accuracy"]))


def worst_slice(
    data: LabelledTexts, correct: NDArray[np.bool_], dense_right: NDArray[np.bool_], budget: float
) -> dict[str, Any] | None:
    """The domain (or fifth by length, where there are no domains) that loses most against dense."""
    names = np.asarray(data.domains)
    if len(set(data.domains)) < 2:
        lengths = np.asarray([len(text) for text in data.texts])
        fifth = np.searchsorted(np.quantile(lengths, [0.2, 0.4, 0.6, 0.8]), lengths)
        names = np.asarray([f"length fifth {q + 1}" for q in fifth])
    found = []
    for name in sorted(set(names.tolist())):
        rows = names == name
        if rows.sum() >= MIN_SLICE:
            delta, low, high = paired_points(correct[rows], dense_right[rows])
            found.append({"slice": name, "n": int(rows.sum()), "budget": budget, "delta_points": delta,
                          "delta_low": low, "delta_high": high})  # fmt: skip
    return min(found, key=lambda item: float(item["delta_points"]), default=None)


def slices(head: Head, data: LabelledTexts, sides: Mapping[Key, arms.Embedded]) -> list[dict[str, Any]]:
    """Accuracy, and same answers as the dense original, by domain at every budget of the adaptive rule."""
    right, names = np.asarray(data.labels), np.asarray(data.domains)
    answers = {key: np.asarray(judge(head, side)[0]) for key, side in sides.items() if key[0] != "topk"}
    dense = answers[DENSE]
    rows = []
    for name in sorted(set(names.tolist())):
        mine = names == name
        row: dict[str, Any] = {"slice": name, "n": int(mine.sum()), "dense": float((dense == right)[mine].mean())}
        row["accuracy"] = {f"{b:g}": float((a == right)[mine].mean()) for (r, b), a in answers.items() if r != "dense"}
        row["agreement"] = {f"{b:g}": float((a == dense)[mine].mean()) for (r, b), a in answers.items() if r != "dense"}
        rows.append(row)
    return rows
