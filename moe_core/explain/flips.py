"""The smallest change that turns a decision: of the router's input before its norm, its hidden values, its logits.

A decision turns where a set of requirements holds (`rules.py`). Where the maps are linear these are half-spaces, and
the nearest point of one is a formula, of several the nearest point of a polyhedron (least distance programming: Lawson
and Hanson, 1974, chapter 23). A norm and a GELU in between bend the boundary: then requirements are linearised at the
point reached, the nearest point of what results is the next one, and so on (as reliability analysis finds its design
point: Rackwitz and Fiessler, 1978), and a root along the final direction ends it on the boundary. ADR 0017.

The router sees its input through R numbers and the input's size only, so that all of it happens in R + 1 dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, nnls

from moe_core.explain.components import Array, Norm, Reader
from moe_core.explain.decision import Flip
from moe_core.explain.rules import Requirement, Rule, requirement_values

MOST_STEPS = 80
STARTS = 3  # further starts through the nearest rivals, where several requirements must hold together
LOST = "It was lost, so no change of the input makes it run."
NOTHING = "No change of this size was found that turns it."
FLOOR = "The expert with the largest margin always runs, and that would be this one: no boundary to reach."


@dataclass(frozen=True, slots=True)
class Change:
    """A change, and the residual: how far it is from a combination of the boundary's normals, relative."""

    vector: Array
    residual: float
    single: bool  # one requirement decides

    @property
    def length(self) -> float:
        return float(np.linalg.norm(self.vector))


def nearest(normals_MD: Array, distances_M: Array) -> Array | None:
    """The shortest x with normals x >= distances; None if there is none."""
    if len(distances_M) == 1:
        square = float(normals_MD[0] @ normals_MD[0])
        return normals_MD[0] * (max(0.0, float(distances_M[0])) / square) if square > 0 else None
    scale = float(np.abs(distances_M).max()) or 1.0
    system = np.concatenate([normals_MD.T, distances_M[None] / scale])
    target = np.zeros(len(system))
    target[-1] = 1.0
    weights_M, _ = nnls(system, target)
    rest = system @ weights_M - target
    return None if abs(rest[-1]) < 1e-12 else -rest[:-1] / rest[-1] * scale


def off_normals(change: Array, normals_MD: Array) -> float:
    """Relative distance of a change from the nearest combination of the normals, with weights of 0 or more."""
    length = float(np.linalg.norm(change))
    return nnls(normals_MD.T, change)[1] / length if length > 0 else 0.0


class Bent:
    """A norm and a router in the R + 1 dimensions that matter, around one input."""

    def __init__(self, norm: Norm, reader: Reader, before_D: Array) -> None:
        self.reader, self.eps, self.width = reader, norm.eps, len(before_D)
        seen_RD = norm.project(reader.inner_RD * norm.scale_D)
        self.at_D = norm.project(before_D)
        self.basis_DB = np.linalg.qr(np.concatenate([seen_RD, self.at_D[None]]).T)[0]
        self.seen_R, self.map_RB = seen_RD @ self.at_D, seen_RD @ self.basis_DB
        self.at_B, self.square = self.basis_DB.T @ self.at_D, float(self.at_D @ self.at_D)
        self.shift_R = reader.inner_RD @ norm.shift_D + reader.inner_R

    def _size(self, c_B: Array) -> float:
        return float(np.sqrt((self.square + 2 * self.at_B @ c_B + c_B @ c_B) / self.width + self.eps))

    def logits(self, c_B: Array) -> Array:
        inner_R = (self.seen_R + self.map_RB @ c_B) / self._size(c_B) + self.shift_R
        logits_E: Array = self.reader.from_inner(inner_R[None])[0]
        return logits_E

    def slopes(self, c_B: Array) -> Array:
        """Derivative of the logits, (E, R + 1)."""
        size, seen_R = self._size(c_B), self.seen_R + self.map_RB @ c_B
        inner_RB = self.map_RB / size - np.outer(seen_R, (self.at_B + c_B) / (self.width * size**3))
        slopes_EB: Array = self.reader.slopes(seen_R / size + self.shift_R) @ inner_RB
        return slopes_EB

    def solve(self, turning: Sequence[Requirement], start_B: Array) -> Array | None:
        """A point of the boundary from which no small step leads to a shorter change."""
        first, second = [a for a, _, _ in turning], [b for _, b, _ in turning]
        c_B, penalty = start_B, 0.0
        for _ in range(MOST_STEPS):
            values_M, slopes_EB = requirement_values(self.logits(c_B), turning), self.slopes(c_B)
            normals_MB = slopes_EB[first] - slopes_EB[second]
            next_B = nearest(normals_MB, normals_MB @ c_B - values_M)
            if next_B is None or not np.isfinite(next_B).all():
                return None
            step_B = next_B - c_B
            if np.linalg.norm(step_B) <= 1e-9 * max(1e-12, float(np.linalg.norm(next_B))):
                return next_B
            steepness = float(np.linalg.norm(normals_MB, axis=1).min())
            penalty = max(penalty, 2 * float(np.linalg.norm(next_B)) / max(steepness, 1e-12))

            def cost(at_B: Array, penalty: float = penalty) -> float:
                lacking = np.maximum(0.0, -requirement_values(self.logits(at_B), turning)).sum()
                return 0.5 * float(at_B @ at_B) + penalty * float(lacking)

            before, part = cost(c_B), 1.0
            while part > 1e-3 and cost(c_B + part * step_B) > before:
                part /= 2
            c_B = c_B + part * step_B
        return c_B

    def on_boundary(self, turning: Sequence[Requirement], c_B: Array) -> Change | None:
        """The change in the direction of c_B that ends on the boundary, in all D dimensions."""

        def lacking(part: float) -> float:
            return float(requirement_values(self.logits(part * c_B), turning).min())

        low, high = 0.98, 1.02
        while lacking(low) > 0 and low > 0.05:
            low -= 0.1
        while lacking(high) < 0 and high < 1.5:
            high += 0.05
        if lacking(low) > 0 or lacking(high) < 0:
            return None
        c_B = c_B * brentq(lacking, low, high, xtol=1e-13)
        values_M, slopes_EB = requirement_values(self.logits(c_B), turning), self.slopes(c_B)
        held = [each for each, value in zip(turning, values_M, strict=True) if value < 1e-6]
        normals_MB = np.stack([slopes_EB[a] - slopes_EB[b] for a, b, _ in held])
        return Change(self.basis_DB @ c_B, off_normals(c_B, normals_MB), len(held) == 1)

    def shortest(self, turning: Sequence[Requirement]) -> Change | None:
        """The shortest change found that makes all of a set hold, from several starts."""
        origin_B = np.zeros(self.basis_DB.shape[1])
        starts = [origin_B]
        if len(turning) > 1:
            alone = [self.solve([one], origin_B) for one in turning]
            starts += sorted((c for c in alone if c is not None), key=lambda c: -float(c @ c))[:STARTS]
        found = [self.solve(turning, start) for start in starts]
        changes = [self.on_boundary(turning, c) for c in found if c is not None]
        return min((c for c in changes if c is not None), key=lambda c: c.length, default=None)


def flip_of_input(norm: Norm, reader: Reader, before_D: Array, rule: Rule, expert: int) -> tuple[Flip, Array | None]:
    """The smallest change of what enters the router's norm, and the change itself, (D,)."""
    bent = Bent(norm, reader, before_D)
    origin_B = np.zeros(bent.basis_DB.shape[1])
    logits_E = bent.logits(origin_B)
    runs = bool(rule.compare(logits_E[None]).runs_NE[0, expert])
    changes = [bent.shortest(turning) for turning in rule.turns(logits_E, expert, runs=runs)]
    best = min((c for c in changes if c is not None), key=lambda c: c.length, default=None)
    if best is None:
        reason = NOTHING if rule.available_E[expert] else LOST
        return Flip(distance=None, relative=None, closed_form=False, reason=reason), None

    def turned(part: float) -> bool:
        logits_NE = reader.logits(norm(before_D + part * best.vector)[None])
        return bool(rule.compare(logits_NE).runs_NE[0, expert]) != runs

    if not turned(1.001):
        return Flip(distance=None, relative=None, closed_form=False, reason=FLOOR), None
    relative = best.length / float(np.linalg.norm(before_D))
    return Flip(distance=best.length, relative=relative, closed_form=False, residual=best.residual), best.vector


def flip_of_linear(map_EH: Array, values_H: Array, logits_E: Array, rule: Rule, expert: int) -> Flip:
    """The smallest change of values that the logits are a linear map of."""
    runs = bool(rule.compare(logits_E[None]).runs_NE[0, expert])
    best, single = None, False
    for turning in rule.turns(logits_E, expert, runs=runs):
        normals_MH = np.stack([map_EH[a] - map_EH[b] for a, b, _ in turning])
        change_H = nearest(normals_MH, -requirement_values(logits_E, turning))
        if change_H is not None and (best is None or change_H @ change_H < best @ best):
            held = normals_MH @ change_H + requirement_values(logits_E, turning) < 1e-9
            best, single = change_H, int(held.sum()) <= 1
    if best is None:
        reason = NOTHING if rule.available_E[expert] else LOST
        return Flip(distance=None, relative=None, closed_form=True, reason=reason)
    length = float(np.linalg.norm(best))
    relative = length / (float(np.linalg.norm(values_H)) or 1.0)
    return Flip(distance=length, relative=relative, closed_form=single, residual=0.0)
