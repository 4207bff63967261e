"""Trains a head on embeddings of the dense original and measures it in every mode."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moe_core.errors import InputError
from moe_core.model.heads import Head, HeadCard, save_head, train_head
from moe_core.model.reference import RoutedModel

BUDGETS = (1.0, 0.5, 0.35, 0.25, 0.15)


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Texts and their labels, same length."""

    texts: Sequence[str]
    labels: Sequence[str]


def train_and_measure(
    folder: Path,
    model: RoutedModel,
    name: str,
    training: LabelledTexts,
    test: LabelledTexts | None,
    *,
    seed: int,
    task: str = "",
    source: str = "",
    licence: str = "",
) -> HeadCard:
    """Writes heads/<name>.safetensors and .json; `test` must share no text with `training` (refused otherwise)."""
    if test is not None and (shared := set(training.texts) & set(test.texts)):
        raise InputError(f"{len(shared)} texts stand in both the training and the test file: remove them from one.")
    embedded = model.run(training.texts, mode="dense", truncate=True).embeddings
    head = train_head(name, embedded, training.labels, seed=seed, task=task, source=source, licence=licence)
    if test is not None:
        accuracy = {"dense": _accuracy(model, head, test, None)}
        for budget in BUDGETS:
            if budget >= model.calibration.smallest_budget:
                accuracy[f"{budget:g}"] = _accuracy(model, head, test, budget)
        head = dataclasses.replace(head, card=dataclasses.replace(head.card, n_test=len(test.texts), accuracy=accuracy))
    save_head(folder / "heads", head)
    return head.card


def _accuracy(model: RoutedModel, head: Head, test: LabelledTexts, budget: float | None) -> float:
    """Share of correct labels; budget None = dense original."""
    import torch

    if budget is None:
        out = model.run(test.texts, mode="dense", truncate=True)
    else:
        out = model.run(test.texts, budget=budget, truncate=True)
    labels, _, _ = head.answer(torch.from_numpy(out.embeddings))
    return float(np.mean([given == right for given, right in zip(labels, test.labels, strict=True)]))
