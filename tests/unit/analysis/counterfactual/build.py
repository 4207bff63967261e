"""Routed texts and pairs made by hand or drawn with a seed; no model."""

import numpy as np

from moe_core.analysis.counterfactual.changes import RoutedText
from moe_core.analysis.counterfactual.pairs import PairChanges


def routed(text: str, executed: list[list[list[int]]], *, label: str = "good", p: float = 0.8) -> RoutedText:
    """Tokens are the words between spaces, with a special token at either end.

    executed[layer][word] = experts that ran; 4 experts; special tokens run expert 0.
    """
    words = text.split(" ")
    spans, at = [(0, 0)], 0
    for word in words:
        spans.append((at, at + len(word)))
        at += len(word) + 1
    spans.append((0, 0))
    ran = np.zeros((len(executed), len(words) + 2, 4), dtype=bool)
    ran[:, [0, -1], 0] = True
    for layer, rows in enumerate(executed):
        for place, experts in enumerate(rows, start=1):
            ran[layer, place, experts] = True
    return RoutedText(
        text=text, pieces=("[CLS]", *words, "[SEP]"), spans_T=tuple(spans),
        is_special=(True, *([False] * len(words)), True), executed_LTE=ran, label=label,
        probabilities={"bad": 1 - p, "good": p}, active_fraction=0.5, flops=10, flops_dense=20,
    )  # fmt: skip


def simulated(
    seed: int, *, words: int = 8, groups: int = 2, templates: int = 24, shift: float = 0.0, tokens: int = 12,
    layers: int = 6,
) -> list[PairChanges]:  # fmt: skip
    """Words are points in a space; how far two are apart says how much a swap changes. `shift` moves all groups but the
    first along one axis. Every template weighs the axes in its own way. Words are drawn anew with the seed."""
    rng = np.random.default_rng(seed)
    group_N = np.repeat(np.arange(groups), words)
    place_ND = 0.5 * rng.normal(size=(len(group_N), 3))
    place_ND[:, 0] += shift * (group_N > 0)
    left_P, right_P = np.triu_indices(len(group_N), 1)
    result = []
    for number in range(templates):
        seen_ND = place_ND @ (np.eye(3) + 0.5 * rng.normal(size=(3, 3)))
        far_P = np.linalg.norm(seen_ND[left_P] - seen_ND[right_P], axis=1)
        rate_P = 1 / (1 + np.exp(-(rng.normal(-1.2, 0.6) + 0.8 * far_P)))
        changed = [rng.binomial(tokens, rate_P) / tokens for _ in range(layers)]
        score_N = 0.1 * seen_ND[:, 0] + 0.05 * rng.normal(size=len(group_N))
        result.append(
            PairChanges(
                template=f"t{number}", group_N=group_N,
                values_MP=np.vstack([*changed, np.zeros_like(far_P), np.abs(score_N[left_P] - score_N[right_P]),
                                     np.zeros_like(far_P)]),
                tokens_P=np.full(len(left_P), tokens), same_P=np.ones(len(left_P), dtype=bool),
                fills_FN=np.stack([score_N, np.full(len(group_N), 3.0), np.full(len(group_N), 10.0)]),
                swapped_N=np.full(len(group_N), 4.0),
            )
        )  # fmt: skip
    return result
