"""What is called specialization: found on the first half of the documents, found again on the second.

First half: Benjamini-Hochberg over all cells (features x layers x experts), the effect gate, and an interval without 1.
Second half: the same sign, its own interval without 1, the effect gate again. Only then a cell is *called*. Where no
feature has anything to do with the routing, something is found on the first half in about `rate` of runs, and of that
one in forty passes the second: calls without cause are rarer than 1 % of runs.

A router that runs more experts for hard tokens makes all of them run more often for, say, rare words; none of them is a
specialist for that. So the gate also holds for the lift over that of the layer as a whole (`layer_lift`; 1 where every
token runs equally many).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from moe_core.analysis.audit.multiplicity import benjamini_hochberg
from moe_core.analysis.specialization.lifts import Lifts, lifts
from moe_core.analysis.specialization.ratio_sums import Floats, RatioSums
from moe_core.analysis.specialization.settings import SpecializationSettings

COLUMNS = (
    "kind", "value", "layer", "expert_id", "lift", "low", "high", "n", "documents", "runs", "chance_low", "chance_high",
    "layer_lift", "p", "q", "held_lift", "held_low", "held_high", "held_n", "held_documents", "excess", "tested",
    "found", "replicated", "called",
)  # fmt: skip

Feature = tuple[str, str]  # kind and value: ("domain", "law"), ("class", "number"), ("token", "2023")


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """Arrays (F, L, E) of a set of features; `frame` shows cells of it as rows."""

    features: tuple[Feature, ...]
    sums: RatioSums  # of both halves
    both: Lifts
    held: Lifts
    held_sums: RatioSums
    p: Floats
    q: Floats
    tested: NDArray[np.bool_]
    found: NDArray[np.bool_]
    called: NDArray[np.bool_]

    @property
    def n_tested(self) -> int:
        """How many cells were tested in both halves."""
        return int(self.tested.sum())

    def frame(self, cells: NDArray[np.bool_] | None = None) -> pd.DataFrame:
        """-> COLUMNS, one row per cell (all, or those marked in an FLE mask), by feature, layer, expert. lift, low,
        high, chance_*, n (tokens with the feature), documents, runs: of all documents; held_*: of the second half
        alone; p, q: of the first. layer_lift: of all experts of the layer together. excess: share of the expert's runs
        beyond what this gives the feature, negative where it runs less often. replicated: found on both halves."""
        f, layer, expert = np.nonzero(np.ones(self.sums.shape, bool) if cells is None else cells)
        at, of_layer = (f, layer, expert), (f, layer)
        kinds, values = [kind for kind, _ in self.features], [value for _, value in self.features]
        share = self.sums.total_c_LE / np.maximum(self.sums.total_n_L[:, None], 1)
        n = self.sums.n_FL[of_layer]
        of_all = layer_lift(self.sums)[:, :, 0][of_layer]
        extra = self.sums.c[at] - share[layer, expert] * n * of_all
        return pd.DataFrame({
            "kind": np.array(kinds, object)[f], "value": np.array(values, object)[f], "layer": layer,
            "expert_id": expert, "lift": self.both.lift[at], "low": self.both.low[at], "high": self.both.high[at],
            "n": n.astype(np.int64), "documents": self.sums.documents_FL[of_layer].astype(np.int64),
            "runs": self.sums.c[at].astype(np.int64), "chance_low": self.both.chance_low[at],
            "chance_high": self.both.chance_high[at], "layer_lift": of_all, "p": self.p[at], "q": self.q[at],
            "held_lift": self.held.lift[at], "held_low": self.held.low[at], "held_high": self.held.high[at],
            "held_n": self.held_sums.n_FL[of_layer].astype(np.int64),
            "held_documents": self.held_sums.documents_FL[of_layer].astype(np.int64),
            "excess": extra / np.maximum(self.sums.total_c_LE[layer, expert], 1),
            "tested": self.tested[at], "found": self.found[at], "replicated": self.called[at],
            "called": self.called[at],
        })[list(COLUMNS)]  # fmt: skip


def call(
    features: Sequence[Feature], halves: tuple[RatioSums, RatioSums], settings: SpecializationSettings
) -> Calls:
    """`halves`: sums of the first and of the second half, with one row per feature."""
    first, held = (lifts(half, settings) for half in halves)
    both_sums = halves[0] + halves[1]
    both = lifts(both_sums, settings)
    tested = first.tested & held.tested
    p = np.where(tested, first.p, np.nan)
    q = benjamini_hochberg(p)
    with np.errstate(invalid="ignore"):
        found = tested & (q <= settings.rate) & _stands(first, halves[0], settings)
        called = found & _stands(held, halves[1], settings) & (np.sign(first.t) == np.sign(held.t))
    return Calls(
        features=tuple(features), sums=both_sums, both=both, held=held, held_sums=halves[1], p=p, q=q, tested=tested,
        found=found, called=called,
    )  # fmt: skip


def layer_lift(sums: RatioSums) -> Floats:
    """(F, L, 1): how much more often the experts of a layer, all together, run for the tokens with a feature."""
    with np.errstate(divide="ignore", invalid="ignore"):
        of_all = sums.total_c_LE.sum(axis=1) / sums.total_n_L
        lift: Floats = (sums.c.sum(axis=2) / sums.n_FL / of_all[None])[:, :, None]
    return lift


def _stands(found: Lifts, sums: RatioSums, settings: SpecializationSettings) -> NDArray[np.bool_]:
    """Interval without 1, and a lift beyond the gate, also over that of the layer."""
    over_layer = found.lift / layer_lift(sums)
    above = (found.low > 1) & (found.lift >= settings.gate_high) & (over_layer >= settings.gate_high)
    below = (found.high < 1) & (found.lift <= settings.gate_low) & (over_layer <= settings.gate_low)
    return above | below
