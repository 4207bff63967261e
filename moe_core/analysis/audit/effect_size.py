"""How alike the tokens of a document are, and what that does to measures that count tokens.

Design effect: how many times the variance of a token-pooled share exceeds that of independent tokens (Kish 1965; Rao
and Scott, JASA 76 (1981)). Cramér's V with the bias correction of Bergsma (J. Korean Stat. Soc. 42 (2013)), into which
the effective sample size goes in place of the number of tokens. Choices = (token, expert) pairs of a layer.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from moe_core.analysis.audit.counts import Floats, RoutingCounts


@dataclass(frozen=True, kw_only=True, slots=True)
class Clustering:
    """Of one layer. `icc`: likeness of the choices of one document (1: all alike); `cramers_v`: of group and expert,
    corrected with n_eff; `rao_scott_p`: first-order test, None below `from_documents`."""

    documents: int
    choices: int
    deff: float
    icc: float
    n_eff: float
    cramers_v: float
    cramers_v_plain: float
    rao_scott_p: float | None


def clustering(counts: RoutingCounts, layer: int, from_documents: int) -> Clustering:
    """Of the documents of all groups together. NaN where a layer has too few choices to say."""
    count_DE = counts.counts_DLE[:, layer].astype(np.float64)
    count_DE = count_DE[:, count_DE.any(axis=0)]
    n_D = count_DE.sum(axis=1)
    table_GE = np.stack([count_DE[counts.group_D == g].sum(axis=0) for g in range(len(counts.groups))])
    seen_G = np.flatnonzero(table_GE.sum(axis=1) > 0)
    table_GE = table_GE[seen_G]
    deff = design_effect([count_DE[(counts.group_D == g) & (n_D > 0)] for g in seen_G])
    total = float(n_D.sum())
    # Of a document of typical length, long ones counting more: deff = 1 + (length - 1) icc.
    length = float((n_D**2).sum()) / max(total, 1.0)
    icc = (deff - 1) / (length - 1) if length > 1 else float("nan")
    n_eff = total / deff if deff > 0 else float("nan")
    chi2 = _chi2(table_GE)
    n_used = int((n_D > 0).sum())
    freedom = (table_GE.shape[0] - 1) * (table_GE.shape[1] - 1)
    p = float(stats.chi2.sf(chi2 / deff, freedom)) if n_used >= from_documents and deff > 0 and freedom else None
    return Clustering(
        documents=n_used, choices=int(total), deff=deff, icc=icc, n_eff=n_eff,
        cramers_v=cramers_v(table_GE, n_eff), cramers_v_plain=cramers_v(table_GE, None), rao_scott_p=p,
    )  # fmt: skip


def design_effect(count_GDE: list[Floats]) -> float:
    """Sum over groups and experts of v / p over the sum of (1 - p) / N, where v is the variance of the pooled share p
    of N choices of m documents: v = m / (m - 1) sum over documents of (c - n p)^2 / N^2."""
    observed = independent = 0.0
    for count_DE in count_GDE:
        m, total = len(count_DE), float(count_DE.sum())
        if m < 2 or total == 0:
            continue
        share_E = count_DE.sum(axis=0) / total
        used_E = share_E > 0
        off_DE = count_DE - count_DE.sum(axis=1, keepdims=True) * share_E
        variance_E = m / (m - 1) * (off_DE**2).sum(axis=0) / total**2
        observed += float((variance_E[used_E] / share_E[used_E]).sum())
        independent += float((1 - share_E[used_E]).sum()) / total
    return observed / independent if independent > 0 else float("nan")


def cramers_v(table_GE: Floats, n_eff: float | None) -> float:
    """0 (no association) to 1. `n_eff`: sample size for the bias correction; None: no correction."""
    rows, columns = table_GE.shape
    total = float(table_GE.sum())
    if min(rows, columns) < 2 or total == 0:
        return 0.0
    phi2 = _chi2(table_GE) / total
    if n_eff is None:
        return float(np.sqrt(phi2 / (min(rows, columns) - 1)))
    if not n_eff > max(rows, columns):
        return float("nan")
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n_eff - 1))
    rows_c, columns_c = rows - (rows - 1) ** 2 / (n_eff - 1), columns - (columns - 1) ** 2 / (n_eff - 1)
    smaller = min(rows_c, columns_c) - 1
    return float(np.sqrt(phi2 / smaller)) if smaller > 0 else float("nan")


def _chi2(table_GE: Floats) -> float:
    expected_GE = table_GE.sum(axis=1, keepdims=True) * table_GE.sum(axis=0) / max(float(table_GE.sum()), 1.0)
    used = expected_GE > 0
    return float(((table_GE - expected_GE)[used] ** 2 / expected_GE[used]).sum())
