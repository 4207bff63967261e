"""Learned balance: threshold offsets that rise for busy experts and fall for idle ones.

The offsets are logarithmic factors on the threshold, updated by integral control from the load that the
routing itself produces (cf. Wang et al., arXiv 2408.15664, which adds a bias to the score of top-k routers).
They are bounded, so that balance can never outvote a clear difference in predicted contribution.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class BalanceConfig:
    """step: gain of one update; bound: largest absolute offset (log of the threshold factor);
    smoothing: share of the old load kept in the running mean."""

    step: float = 0.01
    bound: float = 0.3
    smoothing: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError("smoothing must lie in [0, 1).")


class BalanceController:
    """Moves the offsets of all layers, offsets_LE (updated in place)."""

    def __init__(self, config: BalanceConfig, offsets_LE: list[Tensor]) -> None:
        self.config = config
        self.offsets_LE = offsets_LE
        self.load_LE = [torch.ones_like(offset_E) for offset_E in offsets_LE]

    @torch.no_grad()
    def update(self, layer: int, active_TE: Tensor) -> None:
        """active_TE bool: which experts ran. A batch in which all ran says nothing and is skipped."""
        c = self.config
        share_E = active_TE.float().mean(dim=0)
        if bool((share_E == 1).all()):
            return
        relative_E = share_E / share_E.mean().clamp(min=1e-6)
        self.load_LE[layer].mul_(c.smoothing).add_(relative_E, alpha=1 - c.smoothing)
        offset_E = self.offsets_LE[layer]
        offset_E += c.step * (self.load_LE[layer] - 1).clamp(-1, 1)
        offset_E -= offset_E.mean()
        offset_E.clamp_(-c.bound, c.bound)
