"""The field's usual ways to choose experts, trained like ours: the baselines of the reference model.

Every rule sees the same steps, text, start and losses; only the choice differs. The number of experts of a step is
drawn alike for the rules that have one.

    topk     the k experts with the largest scores
    random   k experts drawn anew for every token: isolates *which* from *how many*
    topp     the smallest set of experts whose probabilities sum to more than p
    narrow   the same k experts for every token, those with the largest mean score: a dense model with a narrower FFN
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

Rule = Literal["adaptive", "topk", "random", "topp", "narrow"]
RULES: tuple[Rule, ...] = ("adaptive", "topk", "random", "topp", "narrow")


def draw_level(seed: int, step: int, n_experts: int, all_on: float) -> float:
    """Share of the experts to run in this step, over (0, 1]; small ones are drawn more often, as with thresholds."""
    rng = np.random.default_rng([seed, 17, step])
    if rng.random() < all_on:
        return 1.0
    return float(max(1, round(n_experts * 0.8 * rng.random() ** 1.5))) / n_experts


def choose(rule: Rule, logits_TE: Tensor, level: float, seed: int) -> Tensor:
    """gates_TE, 0 or 1, at `level` (share of experts; for topp the probability to be covered)."""
    n_experts = logits_TE.shape[1]
    k = max(1, round(level * n_experts))
    if rule == "topk":
        return _best(logits_TE, k)
    if rule == "random":
        generator = torch.Generator().manual_seed(seed)
        return _best(torch.rand(logits_TE.shape, generator=generator), k)
    if rule == "narrow":
        return _best(logits_TE.mean(dim=0, keepdim=True), k).expand_as(logits_TE)
    if rule == "topp":
        prob_TE, order_TE = torch.softmax(logits_TE, dim=1).sort(dim=1, descending=True, stable=True)
        before_TE = prob_TE.cumsum(dim=1) - prob_TE
        return torch.zeros_like(logits_TE).scatter(1, order_TE, ((before_TE < level) | (level >= 1)).float())
    raise ValueError(f"Rule {rule!r} has no choice of its own.")


def _best(values_TE: Tensor, k: int) -> Tensor:
    order_TE = values_TE.argsort(dim=1, descending=True, stable=True)
    return torch.zeros_like(values_TE).scatter(1, order_TE[:, :k], 1.0)
