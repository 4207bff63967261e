"""Routing rules that others use, run on the same weights and routers, so that adaptive routing has something to beat.

All weigh every expert that runs by 1. The shipped weights were not trained for these rules: a fair verdict on a rule
needs a model trained for it; what can be compared here is the cost at an equal number of experts.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from moe_core.model.router import Routing, relative_scores


def decide_random_k(logits_TE: Tensor, k: int, generator: torch.Generator) -> Routing:
    """k experts drawn at random for every token: what choosing is worth shows against it."""
    scores_TE = relative_scores(logits_TE)
    draw_TE = torch.rand(scores_TE.shape, generator=generator)
    gates_TE = torch.zeros_like(scores_TE).scatter(1, draw_TE.topk(k, dim=1).indices, 1.0)
    return _routing(logits_TE, scores_TE, torch.zeros(scores_TE.shape[1]), gates_TE)


def decide_top_p(logits_TE: Tensor, p: float) -> Routing:
    """The smallest set of experts whose probabilities (softmax of the logits) sum to at least p; one at least."""
    probs_TE = torch.softmax(logits_TE, dim=1)
    sorted_TE, order_TE = probs_TE.sort(dim=1, descending=True, stable=True)
    before_TE = sorted_TE.cumsum(dim=1) - sorted_TE
    kept_TE = (before_TE < p).float()
    kept_TE[:, 0] = 1.0
    gates_TE = torch.zeros_like(probs_TE).scatter(1, order_TE, kept_TE)
    return _routing(logits_TE, relative_scores(logits_TE), torch.zeros(probs_TE.shape[1]), gates_TE)


def decide_threshold(logits_TE: Tensor, threshold: float) -> Routing:
    """Every expert whose score passes one threshold that all layers and experts share, without a ramp: what is left of
    adaptive routing without its learned factors."""
    scores_TE = relative_scores(logits_TE)
    gates_TE = (scores_TE > min(threshold, 1 - 1e-6)).float()  # the strongest has score 1 and always runs
    return _routing(logits_TE, scores_TE, torch.full((scores_TE.shape[1],), threshold), gates_TE)


def _routing(logits_TE: Tensor, scores_TE: Tensor, thresholds_E: Tensor, gates_TE: Tensor) -> Routing:
    return Routing(logits_TE, scores_TE, thresholds_E, gates_TE, torch.zeros(len(gates_TE), dtype=torch.bool))


def match(share_at: Callable[[float], float], target: float, *, rising: bool, steps: int = 10) -> float:
    """The knob in [0, 1] at which the measured share of experts comes to `target`, by bisection; `rising`: the share
    grows with the knob."""
    low, high = 0.0, 1.0
    for _ in range(steps):
        middle = (low + high) / 2
        if (share_at(middle) < target) == rising:
            low = middle
        else:
            high = middle
    return (low + high) / 2
