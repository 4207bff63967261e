"""The routers' rules in float64, for logits that never were: without a component, moved to a boundary.

They are those of `model/router.py`; a test holds them to it. `Requirement` (a, b, offset) means: logit a minus logit b
exceeds the offset. A rule says which sets of requirements turn a decision: it turns where all of one set hold.

Shape letters: N rows of logits, E experts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Requirement = tuple[int, int, float]
MOST_SETS = 256  # of requirements: top-k decisions far from the boundary have very many


@dataclass(frozen=True, slots=True)
class Compared:
    """Scores, what they are compared with, and who runs, each (N, E)."""

    scores_NE: Array
    thresholds_NE: Array
    runs_NE: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ThresholdRule:
    """Runs whoever's score exceeds its threshold, and always the one with the largest margin. available_E: False for
    a lost expert."""

    thresholds_E: Array
    available_E: NDArray[np.bool_]

    def compare(self, logits_NE: Array) -> Compared:
        left_NE = np.where(self.available_E, logits_NE, -np.inf)
        scores_NE = np.exp(np.minimum(logits_NE - left_NE.max(axis=1, keepdims=True), 0.0))
        margins_NE = np.where(self.available_E, scores_NE - self.thresholds_E, -np.inf)
        runs_NE = margins_NE > 0
        runs_NE[np.arange(len(runs_NE)), margins_NE.argmax(axis=1)] = True
        return Compared(scores_NE, np.broadcast_to(self.thresholds_E, scores_NE.shape), runs_NE)

    def rival(self, logits_E: Array, expert: int) -> int:
        """The strongest other expert that is left."""
        others_E = np.where(self.available_E, logits_E, -np.inf)
        others_E[expert] = -np.inf
        return int(others_E.argmax())

    def closest(self, logits_E: Array) -> int:
        """The expert whose score is nearest to its threshold, as a ratio; not the strongest."""
        distance_E = np.abs(logits_E - logits_E[self.available_E].max() - np.log(self.thresholds_E))
        distance_E[~self.available_E] = np.inf
        distance_E[np.where(self.available_E, logits_E, -np.inf).argmax()] = np.inf
        return int(distance_E.argmin())

    def turns(self, logits_E: Array, expert: int, *, runs: bool) -> list[list[Requirement]]:
        """Sets of requirements that turn the decision; the floor is left out. None for a lost expert."""
        if not self.available_E[expert]:
            return []
        bound = float(np.log(self.thresholds_E[expert]))
        others = [int(j) for j in np.flatnonzero(self.available_E) if j != expert]
        if runs:
            return [[(j, expert, -bound)] for j in others]
        return [[(expert, j, bound) for j in others]]


@dataclass(frozen=True, slots=True)
class TopKRule:
    """Runs the k experts with the largest logits of those that are left. A winner is compared with the first loser, a
    loser with the last winner."""

    k: int
    available_E: NDArray[np.bool_]

    def compare(self, logits_NE: Array) -> Compared:
        scores_NE = np.exp(logits_NE - logits_NE.max(axis=1, keepdims=True))
        left_NE = np.where(self.available_E, logits_NE, -np.inf)
        order_NE = np.argsort(-left_NE, axis=1, kind="stable")
        runs_NE = np.zeros(logits_NE.shape, dtype=np.bool_)
        np.put_along_axis(runs_NE, order_NE[:, : self.k], values=True, axis=1)
        last_N1, first_N1 = (np.take_along_axis(scores_NE, order_NE[:, [at]], axis=1) for at in (self.k - 1, self.k))
        return Compared(scores_NE, np.where(runs_NE, first_N1, last_N1), runs_NE)

    def order(self, logits_E: Array) -> list[int]:
        """Experts that are left, the strongest first."""
        left_E = np.where(self.available_E, logits_E, -np.inf)
        return [int(e) for e in np.argsort(-left_E, kind="stable")[: int(self.available_E.sum())]]

    def rival(self, logits_E: Array, expert: int) -> int:
        order = self.order(logits_E)
        return order[self.k] if expert in order[: self.k] else order[self.k - 1]

    def closest(self, logits_E: Array) -> int:
        """The last winner."""
        return self.order(logits_E)[self.k - 1]

    def turns(self, logits_E: Array, expert: int, *, runs: bool) -> list[list[Requirement]]:
        """Sets of requirements that turn the decision; of very many the likeliest MOST_SETS."""
        if expert not in (order := self.order(logits_E)):
            return []
        above, below = order[: order.index(expert)], order[order.index(expert) + 1 :]
        if runs:  # k others must come to be above it
            chosen = islice(combinations(below, self.k - len(above)), MOST_SETS)
            return [[(j, expert, 0.0) for j in (*above, *some)] for some in chosen]
        passed = islice(combinations(reversed(above), len(above) - self.k + 1), MOST_SETS)
        return [[(expert, j, 0.0) for j in (*some, *below)] for some in passed]


Rule = ThresholdRule | TopKRule


def requirement_values(logits_E: Array, turning: Sequence[Requirement]) -> Array:
    """Logit a minus logit b minus offset: all above 0 where the set holds."""
    return np.array([logits_E[a] - logits_E[b] - offset for a, b, offset in turning])
