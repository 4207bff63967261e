"""The field's usual ways to choose experts, trained like ours: the baselines of the reference model.

Every rule sees the same steps, text, start and losses; only the choice differs. The number of experts of a step is
drawn alike for the rules that have one.

    topk     the k experts with the largest scores
    random   k experts drawn anew for every token: isolates *which* from *how many*
    topp     the smallest set of experts whose probabilities sum to more than p
    narrow   the same k experts for every token, those with the largest mean score: a dense model with a narrower FFN
"""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from moe_core.model.baseline_routing import decide_random_k, decide_top_p
from moe_core.model.router import Router, decide_top_k, relative_scores

Rule = Literal["adaptive", "topk", "random", "topp", "narrow"]


def draw_level(seed: int, step: int, n_experts: int, all_on: float) -> float:
    """Share of the experts to run in this step, over (0, 1]; small ones are drawn more often, as with thresholds."""
    rng = np.random.default_rng([seed, 17, step])
    if rng.random() < all_on:
        return 1.0
    return float(max(1, round(n_experts * 0.8 * rng.random() ** 1.5))) / n_experts


@torch.no_grad()
def threshold_for(logits_TE: Tensor, router: Router, level: float) -> float:
    """The layer's common threshold at which the share `level` of all (token, expert) pairs passes; 0 for all."""
    n_kept = round(level * logits_TE.numel())
    if n_kept >= logits_TE.numel():
        return 0.0
    relative = (relative_scores(logits_TE) / router.thresholds_E(1.0)).flatten()
    return float(torch.topk(relative, n_kept + 1).values[-1].clamp(max=0.97))


def choose(rule: Rule, logits_TE: Tensor, level: float, seed: int) -> Tensor:
    """gates_TE, 0 or 1, at `level` (share of experts; for topp the probability to be covered)."""
    k = max(1, round(level * logits_TE.shape[1]))
    if rule == "topk":
        return decide_top_k(logits_TE, k).gates_TE
    if rule == "random":
        return decide_random_k(logits_TE, k, torch.Generator().manual_seed(seed)).gates_TE
    if rule == "narrow":
        return decide_top_k(logits_TE.mean(dim=0, keepdim=True), k).gates_TE.expand_as(logits_TE)
    if rule == "topp":
        return decide_top_p(logits_TE, math.inf if level >= 1 else level).gates_TE
    raise ValueError(f"Rule {rule!r} has no choice of its own.")
