"""Heads: small linear classifiers on the embedding, one safetensors and one JSON file each."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from moe_core.errors import CheckpointError, InputError
from moe_core.model.checkpoint import read_json

DENSE_WEIGHT = 0.25  # of a text's weight: the head mostly reads sparse embeddings
SMALL = 2048  # weights above this number are stored as float16


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadCard:
    """What a head is: labels in the order of its rows, the task in words, and its measured accuracy."""

    name: str
    labels: list[str]
    task: str = ""
    source: str = ""
    licence: str = ""
    n_train: int = 0
    n_test: int = 0
    accuracy: dict[str, float] = field(default_factory=dict)  # "dense", "1", "0.5", ... -> share correct
    calibration_error: dict[str, float] = field(default_factory=dict)  # same keys; bins of equal mass
    dense_only_accuracy: float | None = None  # of a head that saw embeddings of the dense original only, on the same


@dataclass(frozen=True, slots=True)
class Head:
    """weight_CD, bias_C of a linear layer with softmax over C labels. `baseline`: the head fitted on embeddings of the
    dense original alone, if this one saw others too; losses are measured against it, it answers nothing."""

    card: HeadCard
    weight_CD: Tensor
    bias_C: Tensor
    baseline: "Head | None" = None

    def probabilities(self, embeddings_BD: Tensor) -> Tensor:
        """probs_BC, rows sum to 1."""
        return torch.softmax(torch.addmm(self.bias_C, embeddings_BD, self.weight_CD.T), dim=1)

    def answer(self, embeddings_BD: Tensor) -> tuple[list[str], list[float], list[float]]:
        """(label, its probability, lead over the second label) for every row."""
        top = self.probabilities(embeddings_BD).topk(2, dim=1)
        labels = [self.card.labels[i] for i in top.indices[:, 0].tolist()]
        return labels, top.values[:, 0].tolist(), (top.values[:, 0] - top.values[:, 1]).tolist()


def train_head(
    name: str,
    embeddings_ND: NDArray[np.float32],
    labels: Sequence[str],
    *,
    seed: int,
    also: Sequence[NDArray[np.float32]] = (),
    **card: Any,
) -> Head:
    """Multinomial logistic regression on embeddings of the dense original; C chosen by 3-fold cross-validation.

    `also`: embeddings of the same texts at other settings. The head is then fitted on all of them together, so that it
    reads what the sparse model writes; the dense original keeps DENSE_WEIGHT, and the head that was fitted on it alone
    becomes the `baseline`. In the cross-validation a text stands once, so no copy of it lies on both sides.
    Raises InputError for fewer than two labels or fewer than 10 examples of a label.
    """
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

    names = sorted(set(labels))
    if len(names) < 2:
        raise InputError(f"Head {name!r} needs at least two different labels; the file has {names}.")
    for label in names:
        if (count := sum(1 for other in labels if other == label)) < 10:
            raise InputError(f"Label {label!r} has {count} examples; a head needs at least 10 of each.")
    model = LogisticRegressionCV(
        Cs=[1.0, 3.0, 10.0, 30.0, 100.0], cv=3, max_iter=2000, scoring="neg_log_loss", random_state=seed,
        l1_ratios=(0.0,), use_legacy_attributes=False,
    )  # fmt: skip
    model.fit(embeddings_ND, labels)
    card |= {"name": name, "n_train": len(labels)}
    baseline = None
    if also:
        baseline = _fitted(model, card)
        strength = float(np.ravel(model.C_)[0])
        other_weight = (1 - DENSE_WEIGHT) / len(also)  # a text counts once in all
        weights_N = np.repeat([DENSE_WEIGHT, *[other_weight] * len(also)], len(labels))
        model = LogisticRegression(C=strength, max_iter=2000, random_state=seed)
        model.fit(np.concatenate([embeddings_ND, *also]), list(labels) * (1 + len(also)), sample_weight=weights_N)
    return _fitted(model, card, baseline)


def _fitted(model: Any, card: dict[str, Any], baseline: Head | None = None) -> Head:
    """The head of a fitted scikit-learn model, rounded as it is stored, so that it is measured as it is used."""
    labels = [str(label) for label in model.classes_]
    weight, bias = np.asarray(model.coef_, dtype=np.float32), np.asarray(model.intercept_, dtype=np.float32)
    if len(labels) == 2:  # scikit-learn keeps one row; the softmax over (-z/2, z/2) gives the same probabilities
        weight, bias = np.concatenate([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    if weight.size > SMALL:
        weight = weight.astype(np.float16).astype(np.float32)
    return Head(HeadCard(labels=labels, **card), torch.from_numpy(weight), torch.from_numpy(bias), baseline)


def save_head(folder: Path, head: Head) -> None:
    """Writes <name>.safetensors and <name>.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for prefix, part in (("", head), ("baseline_", head.baseline)):
        if part is not None:
            small = part.weight_CD.numel() <= SMALL
            tensors[f"{prefix}weight_CD"] = (part.weight_CD if small else part.weight_CD.half()).contiguous()
            tensors[f"{prefix}bias_C"] = part.bias_C.contiguous()
    save_file(tensors, folder / f"{head.card.name}.safetensors")
    (folder / f"{head.card.name}.json").write_text(json.dumps(asdict(head.card), indent=2) + "\n", encoding="utf-8")


def load_heads(folder: Path, d_model: int) -> dict[str, Head]:
    """All heads of a model folder by name. Raises CheckpointError if one is damaged or of a wrong shape."""
    heads = {}
    for path in sorted(folder.glob("*.json")):
        weights = path.with_suffix(".safetensors")
        try:
            card = HeadCard(**read_json(path))
            tensors = load_file(weights)
            baseline = None
            if "baseline_weight_CD" in tensors:
                baseline = Head(card, tensors["baseline_weight_CD"].float(), tensors["baseline_bias_C"].float())
            head = Head(card, tensors["weight_CD"].float(), tensors["bias_C"].float(), baseline)
        except (TypeError, KeyError, SafetensorError, OSError) as error:
            raise CheckpointError(f"Head {weights} cannot be loaded ({error}): restore or remove it.") from error
        for part in (head, head.baseline):
            if part is not None and part.weight_CD.shape != (len(card.labels), d_model):
                raise CheckpointError(
                    f"Head {weights}: weight_CD has shape {tuple(part.weight_CD.shape)}, expected "
                    f"({len(card.labels)}, {d_model})."
                )
        heads[card.name] = head
    return heads
