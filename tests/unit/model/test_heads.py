"""Heads: the same probabilities as scikit-learn, and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from moe_core.errors import CheckpointError, InputError
from moe_core.model.heads import Head, load_heads, save_head, train_head


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


def test_a_head_that_also_saw_sparse_embeddings_reads_them_better_and_keeps_its_baseline() -> None:
    """The other setting moves every text the same way: a head of the original alone errs there, the joint one does not.
    Its baseline is, number by number, the head that was never shown the other setting."""
    points, labels = blobs(2)
    alone = train_head("x", points, labels, seed=0)
    gap = points[np.array(labels) == "L1"].mean(axis=0) - points[np.array(labels) == "L0"].mean(axis=0)
    moved = (points + 1.1 * gap + np.eye(6, dtype=np.float32)[5] * 2).astype(np.float32)
    joint = train_head("x", points, labels, seed=0, also=[moved])

    def right(head: Head, where: np.ndarray) -> float:
        return float(np.mean([a == b for a, b in zip(head.answer(torch.from_numpy(where))[0], labels, strict=True)]))

    assert right(alone, moved) < 0.7 < 0.9 < right(joint, moved)
    assert joint.baseline is not None
    assert torch.equal(joint.baseline.weight_CD, alone.weight_CD)
    assert alone.baseline is None


def test_a_baseline_is_stored_beside_the_head_and_an_old_file_has_none(tmp_path: Path) -> None:
    """Both come back; a JSON without the newer keys and a file without a baseline still load."""
    points, labels = blobs(2)
    save_head(tmp_path, train_head("x", points, labels, seed=0, also=[points * 0.9]))
    loaded = load_heads(tmp_path, 6)["x"]
    assert loaded.baseline is not None
    assert loaded.baseline.weight_CD.shape == (2, 6)
    save_head(tmp_path, train_head("x", points, labels, seed=0))
    card = json.loads((tmp_path / "x.json").read_text())
    for key in ("calibration_error", "dense_only_accuracy"):
        del card[key]
    (tmp_path / "x.json").write_text(json.dumps(card))
    old = load_heads(tmp_path, 6)["x"]
    assert (old.baseline, old.card.calibration_error, old.card.dense_only_accuracy) == (None, {}, None)


def test_a_big_head_is_stored_in_half_precision_and_measured_as_it_is_stored(tmp_path: Path) -> None:
    """Above 2,048 weights: 2 bytes each on disk, float32 in memory, and no number changes by storing."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 700)).astype(np.float32)
    head = train_head("big", points, [f"L{i % 3}" for i in range(60)], seed=0)
    save_head(tmp_path, head)
    loaded = load_heads(tmp_path, 700)["big"]
    assert loaded.weight_CD.dtype == torch.float32
    assert torch.equal(loaded.weight_CD, head.weight_CD)
    assert (tmp_path / "big.safetensors").stat().st_size < 3 * 700 * 4
