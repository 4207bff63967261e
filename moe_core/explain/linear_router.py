"""A linear router behind a norm, choosing the k largest logits: shares, removals and smallest change in closed form.

    logits_e = w_e . (gamma * P x / s) + o_e,   s = sqrt(|P x|^2 / d + eps)

P subtracts the mean (LayerNorm) or nothing (RMSNorm); o_e = w_e . beta + bias_e. The margin of an expert is its logit
minus the k-th largest of the others: above 0 iff it is chosen. Shape letters: C components that sum to x, D width,
E experts.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearRouter:
    """weight_ED, bias_E, gamma_D, beta_D float64; `centred`: LayerNorm, else RMSNorm."""

    weight_ED: Floats
    bias_E: Floats
    gamma_D: Floats
    beta_D: Floats
    eps: float
    centred: bool
    top_k: int

    @property
    def offset_E(self) -> Floats:
        """What the logits hold of norm and router alone, nothing of the token."""
        result: Floats = self.weight_ED @ self.beta_D + self.bias_E
        return result

    def project(self, x: Floats) -> Floats:
        """P x, over the last axis."""
        return x - x.mean(axis=-1, keepdims=True) if self.centred else x

    def scale(self, x: Floats) -> Floats:
        """s for every row of x."""
        projected = self.project(x)
        result: Floats = np.sqrt((projected**2).mean(axis=-1) + self.eps)
        return result

    def logits(self, x: Floats) -> Floats:
        """Logits of one input (D) or of many (N, D)."""
        normed = self.gamma_D * self.project(x) / self.scale(x)[..., None] + self.beta_D
        result: Floats = normed @ self.weight_ED.T + self.bias_E
        return result

    def shares_CE(self, parts_CD: Floats) -> Floats:
        """Each component's share of each logit at the scale of their sum: with `offset_E` they sum to the logits."""
        scale = float(self.scale(parts_CD.sum(axis=0)))
        result: Floats = (self.gamma_D * self.project(parts_CD)) @ self.weight_ED.T / scale
        return result

    def logits_without_CE(self, parts_CD: Floats) -> Floats:
        """Row c: the logits without component c, the norm recomputed from the Gram matrix of the components."""
        projected_CD = self.project(parts_CD)
        total_D = projected_CD.sum(axis=0)
        squared_C = (total_D**2).sum() - 2 * projected_CD @ total_D + (projected_CD**2).sum(axis=1)
        scale_C = np.sqrt(np.maximum(squared_C, 0.0) / parts_CD.shape[1] + self.eps)
        shares_CE = self.shares_CE(parts_CD)
        scale = float(self.scale(parts_CD.sum(axis=0)))
        result: Floats = self.offset_E + (scale / scale_C)[:, None] * (shares_CE.sum(axis=0) - shares_CE)
        return result

    def margins(self, logits: Floats) -> Floats:
        """Per expert: its logit minus the k-th largest of the others; +inf where all are chosen."""
        n_experts = logits.shape[-1]
        if self.top_k >= n_experts:
            return np.full_like(logits, np.inf)
        falling = -np.sort(-logits, axis=-1)
        last_in, first_out = falling[..., self.top_k - 1 : self.top_k], falling[..., self.top_k : self.top_k + 1]
        result: Floats = logits - np.where(logits >= last_in, first_out, last_in)
        return result

    def rival(self, logits_E: Floats, expert_id: int) -> int:
        """The expert that `expert_id` is compared with."""
        order = [int(e) for e in np.argsort(-logits_E, kind="stable") if e != expert_id]
        return order[min(self.top_k, len(order)) - 1]

    def smallest_change(self, x_D: Floats, expert_id: int) -> Floats | None:
        """The shortest change of x that turns whether `expert_id` is chosen, where one comparison decides it.

        An expert that is chosen must be passed by one that is not, and the other way round; so the shortest change that
        makes two such logits equal is a lower bound, and the answer if the choice turns there. None if it does not:
        then several experts have to be passed at once, for which there is no closed form.
        """
        logits_E = self.logits(x_D)
        is_in = bool(self.margins(logits_E)[expert_id] > 0)
        chosen = self._chosen(logits_E)
        found = self._nearest(x_D, [(expert_id, e) for e in range(len(logits_E)) if (e in chosen) != is_in])
        if found is None:
            return None
        around = self.margins(self.logits(x_D + np.outer([0.9995, 1.0005], found[0])))[:, expert_id] > 0
        return found[0] if bool(around[0]) == is_in and bool(around[1]) != is_in else None

    def smallest_set_change(self, x_D: Floats) -> tuple[Floats, int, int] | None:
        """(change of x, who leaves, who enters): the shortest that changes which experts are chosen; None if none does.

        The smallest over all pairs of a chosen expert and another one.
        """
        chosen = self._chosen(self.logits(x_D))
        others = [e for e in range(len(self.bias_E)) if e not in chosen]
        return self._nearest(x_D, [(a, b) for a in sorted(chosen) for b in others])

    def _chosen(self, logits_E: Floats) -> set[int]:
        return {int(e) for e in np.argsort(-logits_E, kind="stable")[: self.top_k]}

    def _nearest(self, x_D: Floats, pairs: list[tuple[int, int]]) -> tuple[Floats, int, int] | None:
        """The pair whose logits become equal after the shortest change."""
        best: tuple[float, Floats, int, int] | None = None
        for one, other in pairs:
            change_D = self._to_boundary(x_D, one, other)
            if change_D is not None and (best is None or float(np.linalg.norm(change_D)) < best[0]):
                best = float(np.linalg.norm(change_D)), change_D, one, other
        return best and best[1:]

    def _to_boundary(self, x_D: Floats, expert_id: int, rival: int) -> Floats | None:
        """The shortest change after which both logits are equal; None if there is none.

        The boundary is a plane through 0 where both offsets are equal, else a cone about P(gamma * (w_e - w_rival)).
        """
        u_D = self.project(self.gamma_D * (self.weight_ED[expert_id] - self.weight_ED[rival]))
        offset = float(self.offset_E[expert_id] - self.offset_E[rival])
        length = float(np.linalg.norm(u_D))
        if length == 0.0:
            return None
        along_D, p_D = u_D / length, self.project(x_D)
        if offset == 0.0:
            return -float(along_D @ p_D) * along_D
        cosine = -offset / (math.sqrt(len(x_D)) * length)
        size = float(np.linalg.norm(p_D))
        if abs(cosine) > 1 or size == 0.0:
            return None
        across_D = p_D - float(along_D @ p_D) * along_D
        if float(np.linalg.norm(across_D)) == 0.0:
            return None
        across_D /= np.linalg.norm(across_D)
        angle = math.acos(cosine)
        edge_D = math.cos(angle) * along_D + math.sin(angle) * across_D  # the nearest line of the cone
        reach = float(edge_D @ p_D)
        return reach * edge_D - p_D if reach > 0 else None
