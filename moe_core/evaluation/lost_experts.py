"""What breaks when experts are lost: every single one, and a sample of pairs, masked at run time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from moe_core.evaluation import arms
from moe_core.evaluation.labelled import LabelledTexts
from moe_core.evaluation.quality import judge
from moe_core.model.reference import RoutedModel

Expert = tuple[int, int]


def sets_of_lost(n_layers: int, n_experts: int, *, singles: int, pairs: int, seed: int) -> list[tuple[Expert, ...]]:
    """Single experts (all, or a sample of `singles`) and `pairs` random pairs, half of them within one layer."""
    rng = np.random.default_rng(seed)
    every = [(layer, expert) for layer in range(n_layers) for expert in range(n_experts)]
    chosen = rng.permutation(len(every))[:singles]
    result: list[tuple[Expert, ...]] = [(every[i],) for i in sorted(chosen.tolist())]
    for number in range(pairs):
        first = every[int(rng.integers(len(every)))]
        others = [e for e in every if e != first and (e[0] == first[0]) == (number % 2 == 0)]
        result.append((first, others[int(rng.integers(len(others)))]))
    return result


def measure_lost(
    model: RoutedModel,
    tasks: Mapping[str, tuple[LabelledTexts, Sequence[Sequence[int]]]],
    *,
    budget: float,
    singles: int,
    pairs: int,
    seed: int = 3,
) -> dict[str, Any]:
    """Points lost against the whole model at the same budget, per task: mean and worst over what was tried."""
    sizes = model.config
    lost = sets_of_lost(sizes.n_layers, sizes.n_experts, singles=singles, pairs=pairs, seed=seed)
    result: dict[str, Any] = {"budget": budget, "single": [], "pair": []}
    for name, (data, ids) in tasks.items():
        right, head = np.asarray(data.labels), model.head(name)
        whole = np.asarray(judge(head, arms.embed(model, ids, arms.adaptive(model, budget)))[0]) == right
        points: dict[int, list[tuple[float, tuple[Expert, ...]]]] = {1: [], 2: []}
        for experts in lost:
            route = arms.adaptive(model, budget, available(experts, sizes.n_layers, sizes.n_experts))
            correct = np.asarray(judge(head, arms.embed(model, ids, route))[0]) == right
            points[len(experts)].append((100 * float(correct.mean() - whole.mean()), experts))
        for size, key in ((1, "single"), (2, "pair")):
            if points[size]:
                worst, experts = min(points[size])
                result[key].append(
                    {
                        "task": name, "n": len(data), "tried": len(points[size]), "worst_points": worst,
                        "worst": [f"{layer}:{expert}" for layer, expert in experts],
                        "mean_points": float(np.mean([p for p, _ in points[size]])),
                        "share_within": float(np.mean([p >= -0.5 * size for p, _ in points[size]])),
                    }
                )  # fmt: skip
    return result


def available(experts: Sequence[Expert], n_layers: int, n_experts: int) -> list[Tensor | None]:
    """For every layer, which experts may run (None: all)."""
    masks: list[Tensor | None] = [None] * n_layers
    for layer, expert in experts:
        mask = masks[layer]
        if mask is None:
            mask = masks[layer] = torch.ones(n_experts, dtype=torch.bool)
        mask[expert] = False
    return masks
