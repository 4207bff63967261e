"""Trains a head on embeddings of the dense original and of the sparse model, and measures it in every mode."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.errors import InputError
from moe_core.model.heads import Head, HeadCard, save_head, train_head
from moe_core.model.reference import RoutedModel

BUDGETS = (1.0, 0.5, 0.35, 0.25, 0.15)
BINS = 15


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Texts and their labels, same length."""

    texts: Sequence[str]
    labels: Sequence[str]

    def first(self, n: int, seed: int) -> "LabelledTexts":
        """At most `n` of them, drawn with `seed`."""
        if len(self.texts) <= n:
            return self
        kept = sorted(np.random.default_rng(seed).choice(len(self.texts), size=n, replace=False).tolist())
        return LabelledTexts([self.texts[i] for i in kept], [self.labels[i] for i in kept])


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
    most_texts: int = 6000,
) -> HeadCard:
    """Writes heads/<name>.safetensors and .json; `test` must share no text with `training` (refused otherwise).

    At most `most_texts` of each are used, drawn with `seed`; the card says how many.
    """
    if test is not None and (shared := set(training.texts) & set(test.texts)):
        raise InputError(f"{len(shared)} texts stand in both the training and the test file: remove them from one.")
    training = training.first(most_texts, seed)
    dense = _embed(model, training.texts, None)
    budgets = [budget for budget in BUDGETS if budget >= model.calibration.smallest_budget]
    also = [_embed(model, training.texts, budget) for budget in budgets]
    card = {"task": task, "source": source, "licence": licence}
    head = train_head(name, dense, training.labels, seed=seed, also=also, **card)
    if test is not None:
        test = test.first(most_texts, seed)
        sides = {"dense": _embed(model, test.texts, None)}
        sides |= {f"{budget:g}": _embed(model, test.texts, budget) for budget in budgets}
        measured = {key: _measure(head, side, test.labels) for key, side in sides.items()}
        only, _ = _measure(train_head(name, dense, training.labels, seed=seed), sides["dense"], test.labels)
        head = dataclasses.replace(
            head,
            card=dataclasses.replace(
                head.card,
                n_test=len(test.texts),
                accuracy={key: accuracy for key, (accuracy, _) in measured.items()},
                calibration_error={key: error for key, (_, error) in measured.items()},
                dense_only_accuracy=only,
            ),
        )
    save_head(folder / "heads", head)
    return head.card


def _embed(model: RoutedModel, texts: Sequence[str], budget: float | None) -> NDArray[np.float32]:
    """Embeddings; budget None = dense original."""
    if budget is None:
        return model.run(texts, mode="dense", truncate=True).embeddings
    return model.run(texts, budget=budget, truncate=True).embeddings


def _measure(head: Head, embeddings_ND: NDArray[np.float32], labels: Sequence[str]) -> tuple[float, float]:
    """(share of correct labels, expected calibration error over bins of equal mass)."""
    given, scores, _ = head.answer(torch.from_numpy(embeddings_ND))
    correct = np.asarray([a == b for a, b in zip(given, labels, strict=True)])
    score = np.asarray(scores)
    parts = [part for part in np.array_split(np.argsort(score, kind="stable"), BINS) if len(part)]
    error = sum(len(part) * abs(float(correct[part].mean() - score[part].mean())) for part in parts) / len(correct)
    return float(correct.mean()), float(error)
