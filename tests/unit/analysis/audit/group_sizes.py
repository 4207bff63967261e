"""Logs whose groups are of very different sizes: two large ones between which there may be a difference, and small ones
that have none. How often is something found, by rule of who is tested?
"""

from dataclasses import replace

import numpy as np

from moe_core.analysis.audit.contrasts import Contrast, large_groups
from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.routing import audit_routing
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.value_tests import value_tests
from tests.unit.analysis.audit.generator import make_counts

SEED = 20_261_128
SIZES = (240, 160, 25, 15, 5)
QUICK = AuditSettings(permutations=199, resamples=100)


def unequal(rng: np.random.Generator, sizes: tuple[int, ...], delta: float) -> RoutingCounts:
    """Groups g0, g1, ... of these sizes, short texts; the plant is in the documents of g1."""
    made = make_counts(rng, 2 * sum(sizes), tokens=40, delta=delta)
    plain, planted = (np.flatnonzero(made.group_D == g) for g in (0, 1))
    group_D = np.repeat(np.arange(len(sizes)), sizes)
    taken = np.where(group_D == 1, planted[: len(group_D)], plain[: len(group_D)])
    return RoutingCounts(
        counts_DLE=made.counts_DLE[taken], tokens_DL=made.tokens_DL[taken], group_D=group_D,
        groups=tuple(f"g{g}" for g in range(len(sizes))),
    )  # fmt: skip


def tested(counts: RoutingCounts, settings: AuditSettings) -> RoutingCounts:
    """The documents of the groups that are tested."""
    large = large_groups(counts.size_G, counts.groups, "group", settings)
    return counts.of(np.isin(counts.group_D, [counts.groups.index(name) for name in large]), large)


def found_in_outcomes(run: int, rates: tuple[float, ...], settings: AuditSettings, sizes: tuple[int, ...]) -> bool:
    """Outcomes with these chances, judged as `audit_outcome` judges them: anything significant?"""
    rng = np.random.default_rng([SEED, 1, run])
    everyone = unequal(rng, sizes, 0.0)
    outcome_D = (rng.random(everyone.n_documents) < np.array(rates)[everyone.group_D]).astype(float)
    counts = tested(everyone, replace(settings, seed=run))
    kept = np.isin(everyone.group_D, [everyone.groups.index(name) for name in counts.groups])
    tests = value_tests({"selection_rate": outcome_D[kept]}, counts, replace(settings, seed=run))
    return bool((tests["p_maxt"].astype(float) <= settings.alpha).any())


def found_in_routing(run: int, delta: float, settings: AuditSettings, sizes: tuple[int, ...]) -> tuple[bool, bool]:
    """-> (anything significant over all families; a cell of g1 significant)."""
    counts = tested(unequal(np.random.default_rng([SEED, 2, run]), sizes, delta), replace(settings, seed=run))
    result, _ = audit_routing(counts, replace(settings, seed=run))
    frames = [result.layers, result.cells, *([] if result.activation is None else [result.activation])]
    anything = any(bool((frame["p_joint"] <= settings.alpha).any()) for frame in frames)
    large = result.cells[result.cells["group"] == "g1"]
    return anything, bool((large["p_joint"] <= settings.alpha).any())


def one_class(contrasts: tuple[Contrast, ...]) -> tuple[Contrast, ...]:
    """As if one maximum held for groups of all sizes."""
    return tuple(replace(contrast, size_class=0) for contrast in contrasts)
