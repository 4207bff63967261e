"""Routers learn from the answer: the loss reaches the scores of experts that stand near their threshold.

The gate grows from 0 to 1 while the score rises through the ramp, so the loss has a gradient there: whether this expert
should have run more for this token. It is passed on to the scores after its mean over all such (token, expert) pairs
is taken away: that mean only says that more experts are always better, and would push every score up. What is left
orders pairs by worth at an unchanged share. `window` widens the range beyond both ends of the ramp (in ramps), so that
experts just left out are heard too.
"""

import torch
from torch import Tensor

from moe_core.model.router import relative_scores


def with_gradient(gates_TE: Tensor, logits_TE: Tensor, thresholds_E: Tensor, ramp: float, window: float) -> Tensor:
    """The same gate weights, now with a centred gradient to `logits_TE`. Thresholds of 0 (all on) give none."""
    if not bool((thresholds_E > 0).all()):
        return gates_TE
    place_TE = (relative_scores(logits_TE) - thresholds_E) / (ramp * thresholds_E)  # 0 and 1: the ends of the ramp
    inside_TE = (place_TE.detach() > -window) & (place_TE.detach() < 1 + window)
    surrogate_TE = place_TE / (1 + 2 * window)
    result_TE: Tensor = gates_TE.detach() + surrogate_TE - surrogate_TE.detach()
    if result_TE.requires_grad:
        result_TE.register_hook(lambda gradient_TE: centred(gradient_TE, inside_TE))  # type: ignore[no-untyped-call]
    return result_TE


def centred(gradient_TE: Tensor, inside_TE: Tensor) -> Tensor:
    """Gradient inside the window minus its mean there; 0 outside. Sums to 0."""
    count = inside_TE.sum().clamp(min=1)
    mean = torch.where(inside_TE, gradient_TE, 0.0).sum() / count
    return torch.where(inside_TE, gradient_TE - mean, 0.0)
