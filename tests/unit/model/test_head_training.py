"""Training a head: what is used of long files, what the card says, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from moe_core.errors import InputError
from moe_core.model.calibration_error import expected_calibration_error
from moe_core.model.head_training import LabelledTexts, train_and_measure
from moe_core.model.heads import load_heads
from moe_core.model.reference import RoutedModel


def labelled(n: int, offset: int = 0) -> LabelledTexts:
    words = ["parcel", "box", "late", "again", "answers", "nobody", "and", "the"]
    texts = [" ".join(words[(i >> bit) % 8] for bit in range(0, 9, 3)) for i in range(offset, offset + n)]
    labels = ["good" if i % 2 else "bad" for i in range(offset, offset + n)]
    return LabelledTexts([f"{label} {text}" for label, text in zip(labels, texts, strict=True)], labels)


def test_the_error_is_the_mean_gap_between_stated_and_true_share() -> None:
    """Two bins of two: stated .6 and .9, right .5 and 1.0: (2 * .1 + 2 * .1) / 4 = .1; a perfect statement has none."""
    scores = np.array([0.9, 0.6, 0.9, 0.6])
    correct = np.array([True, False, True, True])
    assert expected_calibration_error(scores, correct, bins=2) == pytest.approx(0.1)
    assert expected_calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0
    assert expected_calibration_error(np.array([]), np.array([], dtype=bool)) == 0


def test_a_sample_stays_within_its_tokens_but_loses_no_label() -> None:
    """100 texts of 5 tokens, 12 of them of a rare label; room for 30 texts: ten of the rare ones are there."""
    data = LabelledTexts([f"text {i}" for i in range(100)], ["rare" if i < 12 else "usual" for i in range(100)])
    part = data.sample([5] * 100, 150, seed=1)
    assert len(part.texts) == 30
    assert sum(label == "rare" for label in part.labels) >= 10
    assert part == data.sample([5] * 100, 150, seed=1)
    assert part != data.sample([5] * 100, 150, seed=2)
    assert data.sample([5] * 100, 500, seed=1) == data


def test_the_card_has_accuracy_and_calibration_error_at_every_measured_budget(
    tiny_model: RoutedModel, tmp_path: Path
) -> None:
    """Budgets that the dial never measured are left out; the baseline's accuracy stands beside."""
    card = train_and_measure(tmp_path, tiny_model, "mood2", labelled(60), labelled(40, 60), seed=0, task="t")
    assert list(card.accuracy) == ["dense", "1", "0.5", "0.35"]
    assert set(card.calibration_error) == set(card.accuracy)
    assert card.dense_only_accuracy is not None
    assert (card.n_train, card.n_test, card.task) == (60, 40, "t")
    assert load_heads(tmp_path / "heads", 16)["mood2"].baseline is not None


def test_a_text_in_both_files_is_refused(tiny_model: RoutedModel, tmp_path: Path) -> None:
    """Measured on what it was trained on, a head would look better than it is."""
    with pytest.raises(InputError, match="1 texts stand in both"):
        train_and_measure(tmp_path, tiny_model, "x", labelled(60), labelled(10, 59), seed=0)
