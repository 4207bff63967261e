"""Heads: the same probabilities as scikit-learn, and refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from moe_core.errors import CheckpointError, InputError
from moe_core.model.heads import load_heads, save_head, train_head


def blobs(n_labels: int, n: int = 60) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(1)
    labels = [f"L{i % n_labels}" for i in range(n)]
    centres = rng.normal(size=(n_labels, 6))
    points = np.stack([centres[int(label[1])] + 0.4 * rng.normal(size=6) for label in labels]).astype(np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True), labels


@pytest.mark.parametrize("n_labels", [2, 3])
def test_a_head_gives_scikit_learns_probabilities(n_labels: int) -> None:
    """Two classes or more: softmax of our rows equals predict_proba of the fitted model."""
    from sklearn.linear_model import LogisticRegression

    points, labels = blobs(n_labels)
    head = train_head("x", points, labels, seed=0)
    probabilities = head.probabilities(torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    best = max(
        (LogisticRegression(C=c, max_iter=2000).fit(points, labels) for c in (1.0, 10.0, 100.0)),
        key=lambda model: -np.abs(model.predict_proba(points) - probabilities).max(),
    )
    np.testing.assert_allclose(best.predict_proba(points), probabilities, atol=1e-2)


def test_the_answer_is_the_likeliest_label_with_its_probability_and_lead() -> None:
    """score = probability of the label, lead = distance to the second."""
    points, labels = blobs(3)
    head = train_head("x", points, labels, seed=0)
    names, scores, leads = head.answer(torch.from_numpy(points[:5]))
    probabilities = np.sort(head.probabilities(torch.from_numpy(points[:5])).numpy(), axis=1)
    np.testing.assert_allclose(scores, probabilities[:, -1], rtol=1e-5)
    np.testing.assert_allclose(leads, probabilities[:, -1] - probabilities[:, -2], rtol=1e-4)
    assert names == labels[:5]


def test_one_label_or_too_few_examples_are_refused() -> None:
    """A classifier needs at least two labels with ten examples each."""
    points, _ = blobs(2)
    with pytest.raises(InputError, match="at least two different labels"):
        train_head("x", points, ["a"] * 60, seed=0)
    with pytest.raises(InputError, match="'b' has 3 examples"):
        train_head("x", points, ["a"] * 57 + ["b"] * 3, seed=0)


def test_a_saved_head_comes_back_and_a_wrong_shape_is_named(tmp_path: Path) -> None:
    """Same weights and card; for a model of another width the sentence says both shapes."""
    points, labels = blobs(2)
    head = train_head("x", points, labels, seed=0, task="t")
    save_head(tmp_path, head)
    loaded = load_heads(tmp_path, 6)["x"]
    assert torch.equal(loaded.weight_CD, head.weight_CD)
    assert loaded.card == head.card
    with pytest.raises(CheckpointError, match=r"shape \(2, 6\), expected \(2, 384\)"):
        load_heads(tmp_path, 384)
