"""Trains a head on embeddings of the dense original and of the sparse model, and measures it in every mode.

Every training text is embedded twice: by the original, and adaptively at one of the budgets, drawn with the seed. So
the head sees every budget at 1.6 times the cost of one pass; copies of a text at six settings would add little.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from moe_core.errors import InputError
from moe_core.model.calibration_error import expected_calibration_error
from moe_core.model.heads import Head, HeadCard, save_head, train_head
from moe_core.model.reference import RoutedModel

BUDGETS = (1.0, 0.5, 0.35, 0.25, 0.15)
LEAST_PER_LABEL = 10  # a small sample keeps this many of each label, where there are so many


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Texts and their labels, same length."""

    texts: Sequence[str]
    labels: Sequence[str]

    def sample(self, sizes: Sequence[int], most_tokens: int, seed: int) -> "LabelledTexts":
        """As many as hold `most_tokens` tokens together, drawn with `seed`; `sizes`: tokens of every text.

        The first of every label are taken in any case, so that no label is lost.
        """
        order = np.random.default_rng(seed).permutation(len(self.texts)).tolist()
        taken: Counter[str] = Counter()
        first: list[int] = []
        others: list[int] = []
        for i in order:
            taken[self.labels[i]] += 1
            (first if taken[self.labels[i]] <= LEAST_PER_LABEL else others).append(i)
        left = most_tokens - sum(sizes[i] for i in first)
        sums_N = np.cumsum([sizes[i] for i in others], dtype=np.int64)
        fitting = int(np.searchsorted(sums_N, left, side="right"))
        kept = sorted(first + others[:fitting])
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
    most_tokens: int = 200_000,
    most_test_tokens: int = 40_000,
) -> HeadCard:
    """Writes heads/<name>.safetensors and .json; `test` must share no text with `training` (refused otherwise).

    Of long files only a part is used, drawn with `seed`: at most so many tokens; the card says how many texts.
    """
    if test is not None and (shared := set(training.texts) & set(test.texts)):
        raise InputError(f"{len(shared)} texts stand in both the training and the test file: remove them from one.")
    training = _within(model, training, most_tokens, seed)
    dense = _embed(model, training.texts, None)
    budgets = [budget for budget in BUDGETS if budget >= model.calibration.smallest_budget]
    mixed = np.empty_like(dense)
    turn = np.random.default_rng(seed).permutation(len(dense)) % len(budgets)
    for number, budget in enumerate(budgets):
        rows = np.flatnonzero(turn == number)
        mixed[rows] = _embed(model, [training.texts[i] for i in rows.tolist()], budget)
    card = {"task": task, "source": source, "licence": licence}
    head = train_head(name, dense, training.labels, seed=seed, also=[mixed], **card)
    assert head.baseline is not None
    if test is not None:
        test = _within(model, test, most_test_tokens, seed)
        sides = {"dense": _embed(model, test.texts, None)}
        sides |= {f"{budget:g}": _embed(model, test.texts, budget) for budget in budgets}
        measured = {key: _measure(head, side, test.labels) for key, side in sides.items()}
        only, _ = _measure(head.baseline, sides["dense"], test.labels)
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


def _within(model: RoutedModel, data: LabelledTexts, most_tokens: int, seed: int) -> LabelledTexts:
    encoded = model.tokenizer.encode(data.texts, truncate=True)
    return data.sample([len(text.ids) for text in encoded], most_tokens, seed)


def _embed(model: RoutedModel, texts: Sequence[str], budget: float | None) -> NDArray[np.float32]:
    """Embeddings; budget None = dense original."""
    if budget is None:
        return model.run(texts, mode="dense", truncate=True).embeddings
    return model.run(texts, budget=budget, truncate=True).embeddings


def _measure(head: Head, embeddings_ND: NDArray[np.float32], labels: Sequence[str]) -> tuple[float, float]:
    """(share of correct labels, expected calibration error over bins of equal mass)."""
    given, scores, _ = head.answer(torch.from_numpy(embeddings_ND))
    correct = np.asarray([a == b for a, b in zip(given, labels, strict=True)])
    return float(correct.mean()), expected_calibration_error(np.asarray(scores), correct)
