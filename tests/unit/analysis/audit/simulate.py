"""Many simulated logs: how often each test finds something, how often an interval covers.

`python -m tests.unit.analysis.audit.simulate` prints the tables of `docs/audit-method.md` (about 4 minutes).
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from moe_core.analysis.audit.columns import share_columns
from moe_core.analysis.audit.contrasts import Contrast
from moe_core.analysis.audit.counts import RoutingCounts
from moe_core.analysis.audit.effect_size import clustering
from moe_core.analysis.audit.intervals import intervals
from moe_core.analysis.audit.multiplicity import benjamini_hochberg, permutation_p
from moe_core.analysis.audit.null import Families, Null
from moe_core.analysis.audit.routing_frames import contrast_means
from moe_core.analysis.audit.settings import AuditSettings
from moe_core.analysis.audit.statistics import Exceedances, Statistics
from tests.unit.analysis.audit.generator import PLANTED, make_counts

SEED = 20_261_127
NULL_ROWS = [(0.0, 40, 200), (0.005, 40, 200), (0.02, 40, 200), (0.02, 100, 200), (0.02, 100, 1000),
             (0.091, 100, 200), (0.02, 10, 200), (0.02, 320, 200)]  # fmt: skip
POWER = {  # documents: (layer p, cell p) for delta .2, .4, .8, as first measured with 80 runs
    10: ((0.09, 0.01), (0.07, 0.03), (0.56, 0.23)), 20: ((0.00, 0.03), (0.23, 0.12), (0.91, 0.78)),
    40: ((0.10, 0.01), (0.51, 0.35), (1.0, 1.0)), 80: ((0.30, 0.10), (0.86, 0.79), (1.0, 1.0)),
    160: ((0.49, 0.34), (1.0, 1.0), (1.0, 1.0)), 320: ((0.89, 0.81), (1.0, 1.0), (1.0, 1.0)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """p-values of one log: of layer 0 alone, of the smallest over all layers, over all cells, over everything; of the
    planted cell; pooled-null q; and of token tests."""

    layer: float
    layers: float
    cells: float
    joint: float
    planted: float
    pooled: float
    naive: float
    rao_scott: float
    deff: float
    cramers_v: tuple[float, float, float]


def examine(counts: RoutingCounts, permutations: int, seed: int, tokens: bool = False) -> Found:
    settings = AuditSettings(permutations=permutations, seed=seed)
    families = Families.of(counts, settings)
    t_KC = families.shares.t(counts.group_D)
    tested = families.shares.columns.tested_C
    reached = Exceedances(np.abs(t_KC[:, tested]).ravel())
    null = Null.of(families, settings, reached)
    observed, _ = families.observe()
    p_C = permutation_p(np.abs(t_KC[0]), null.share.max_t_BQ[:, 0])
    p_layers = permutation_p(null.largest_jsd(observed), null.largest_jsd(null.share))[0]
    smallest = min(np.nanmin(p_C), p_layers)
    columns = families.shares.columns
    at = (np.array(columns.layers)[columns.row_C] == PLANTED[0]) & (columns.expert_C == PLANTED[1])
    naive = rao = deff = np.nan
    v = (np.nan, np.nan, np.nan)
    if tokens:
        table = np.stack([counts.counts_DLE[counts.group_D == g, 0].sum(axis=0) for g in (0, 1)])
        table = table[:, table.any(axis=0)]
        inside = clustering(counts, 0, 1)
        naive = stats.chi2_contingency(table, correction=False).pvalue
        rao, deff = float(inside.rao_scott_p or np.nan), inside.deff
        from moe_core.analysis.audit.effect_size import cramers_v

        v = inside.cramers_v_plain, cramers_v(table.astype(float), float(table.sum())), inside.cramers_v
    return Found(
        layer=float(permutation_p(observed.jsd_BL[0, :1], null.share.jsd_BL[:, 0])[0]), layers=float(p_layers),
        cells=float(np.nanmin(p_C)), joint=float(null.joint.p(np.array([smallest]))[0]), planted=float(p_C[at][0]),
        pooled=float(benjamini_hochberg((1 + reached.count) / (reached.n + 1)).min()), naive=float(naive),
        rao_scott=rao, deff=deff, cramers_v=v,
    )  # fmt: skip


def runs(n: int, documents: int, *, permutations: int, tokens: int = 200, icc: float = 0.02, delta: float = 0.0,
         token_tests: bool = False) -> list[Found]:  # fmt: skip
    """The same arguments give the same logs."""
    made = []
    for run in range(n):
        rng = np.random.default_rng([SEED, documents, tokens, int(1e4 * icc), int(10 * delta), run])
        counts = make_counts(rng, documents, tokens=tokens, icc=icc, delta=delta)
        made.append(examine(counts, permutations, run, token_tests))
    return made


def rejected(found: list[Found], name: str, alpha: float = 0.05) -> float:
    return float(np.mean([getattr(one, name) <= alpha for one in found]))


def coverage(n: int, documents: int, bootstrap: bool) -> float:
    """Share of the intervals of all 32 cells, none of them touched, that hold their difference, 0."""
    settings = AuditSettings(bootstrap_from=2 if bootstrap else 10**9)
    covered = 0.0
    for run in range(n):
        rng = np.random.default_rng([SEED, 3, documents, run])
        counts = make_counts(rng, documents)
        columns = share_columns(counts, 1)
        contrasts = (Contrast(1, 0),)
        mean_KC, against_KC = contrast_means(Statistics(columns, contrasts, 2), counts, contrasts)
        found = intervals(columns, counts, contrasts, mean_KC - against_KC, settings)
        covered += float(((found.low_KC <= 0) & (found.high_KC >= 0)).mean())
    return covered / n


def false_positive_table(n: int = 400) -> Iterator[str]:
    yield "| ICC | documents | tokens | deff | chi-square of tokens | Rao-Scott | layer JSD | max over layers | maxT | all together | V / n=tokens / n_eff |"  # noqa: E501
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for icc, documents, tokens in NULL_ROWS:
        found = runs(n, documents, permutations=199, tokens=tokens, icc=icc, token_tests=True)
        rates = [rejected(found, name) for name in ("naive", "rao_scott", "layer", "layers", "cells", "joint")]
        v = " / ".join(f"{x:.3f}" for x in np.nanmean([one.cramers_v for one in found], axis=0))
        deff = np.mean([one.deff for one in found])
        yield f"| {icc} | {documents} | {tokens} | {deff:.1f} | " + " | ".join(f"{r:.1%}" for r in rates) + f" | {v} |"


def power_table(n: int = 80) -> Iterator[str]:
    yield "| documents | 2.3 pp | 5 pp | 12 pp |"
    yield "|---|---|---|---|"
    for documents in POWER:
        cells = []
        for delta in (0.2, 0.4, 0.8):
            found = runs(n, documents, permutations=299, delta=delta)
            cells.append(" / ".join(f"{rejected(found, name):.2f}" for name in ("layer", "cells", "joint")))
        yield f"| {documents} | " + " | ".join(cells) + " |"


def coverage_table(n: int = 500) -> Iterator[str]:
    yield "| documents | Welch t | document bootstrap |"
    yield "|---|---|---|"
    for documents in (20, 60, 100, 200):
        yield f"| {documents} | {coverage(n, documents, False):.1%} | {coverage(n, documents, True):.1%} |"


if __name__ == "__main__":
    for table in (false_positive_table, power_table, coverage_table):
        started = time.process_time()
        for line in table():
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        sys.stdout.write(f"({time.process_time() - started:.0f} s CPU)\n\n")
