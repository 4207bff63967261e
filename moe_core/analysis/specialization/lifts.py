"""From sums over documents to lifts: estimate, interval, chance level, p-value.

lift = (c_f / n_f) / (C / N): the share of the tokens with a feature for which an expert runs, over its share of all
tokens. Documents are the clusters. The interval linearises log lift (delta method, Taylor series variance of a ratio;
Woodruff, JASA 66 (1971)); a t quantile takes account of how many documents of equal size the sums are worth (Kish).

The test asks for T = c_f - p n_f with p = C / N. Chance level: the variance of T where the feature has nothing to do
with the routing, from the documents' own deviations from p; for features of whole documents at least that over all
permutations of their labels, which has a closed form: m_f (m - m_f) / (m (m - 1)) times the sum of (C_d - p N_d)^2. An
expert that runs more often is tested with its variance as found (deviations from its own share), which grows with what
is found and so does not make rare things look certain. One that runs less often is tested with the larger of both: few
runs would give themselves a small variance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from moe_core.analysis.specialization.ratio_sums import Floats, RatioSums
from moe_core.analysis.specialization.settings import SpecializationSettings

LEAST_FREEDOM = 1.0
_GRID = np.concatenate([np.geomspace(1, 4, 300), np.geomspace(4.01, 1e6, 200)])
_QUANTILES = special.stdtrit(_GRID, 0.975)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifts:
    """Arrays (F, L, E). `low`, `high`: 95 % interval of the lift, NaN where the expert never ran or was not tested.
    `chance_low`, `chance_high`: between them 95 % of lifts lie where the feature has nothing to do with the routing.
    `t`: signed, p two-sided. `effective`: documents of equal size. `tested`: enough of everything; elsewhere p is
    NaN."""

    lift: Floats
    low: Floats
    high: Floats
    chance_low: Floats
    chance_high: Floats
    t: Floats
    p: Floats
    effective: Floats
    tested: NDArray[np.bool_]


def lifts(s: RatioSums, settings: SpecializationSettings) -> Lifts:
    """Lift, interval, chance level and test of every feature and expert."""
    with np.errstate(divide="ignore", invalid="ignore"):
        n, nn, n_tokens, documents = (a[:, :, None] for a in (s.n_FL, s.nn_FL, s.n_tokens_FL, s.documents_FL))
        total_n, total_nn, total_documents = (
            a[None, :, None] for a in (s.total_n_L, s.total_nn_L, s.total_documents_L)
        )
        total_c, total_cc, total_cn = s.total_c_LE[None], s.total_cc_LE[None], s.total_cn_LE[None]
        share, weight = total_c / total_n, n / total_n
        lift = (s.c / n) / share
        more = documents / np.maximum(documents - 1, 1)

        off_feature = s.cc - 2 * share * s.cn + share**2 * nn
        off_both = s.c_total - share * s.c_tokens - share * s.n_total + share**2 * n_tokens
        off_all = total_cc - 2 * share * total_cn + share**2 * total_nn
        variance = more * np.maximum(off_feature - 2 * weight * off_both + weight**2 * off_all, 0)
        if s.whole:
            rest = total_documents - documents
            permuted = documents * rest / (total_documents * np.maximum(total_documents - 1, 1)) * off_all
            variance = np.maximum(variance, permuted)
        own = s.c / n
        off_own = s.cc - 2 * own * s.cn + own**2 * nn
        off_own_both = s.c_total - share * s.c_tokens - own * s.n_total + own * share * n_tokens
        as_found = more * np.maximum(off_own - 2 * weight * off_own_both + weight**2 * off_all, 0)

        a, b, d, e = 1 / s.c, 1 / n, 1 / total_c, 1 / total_n
        log_variance = more * np.maximum(
            a**2 * s.cc + b**2 * nn + d**2 * total_cc + e**2 * total_nn
            - 2 * a * b * s.cn - 2 * a * d * s.c_total + 2 * a * e * s.c_tokens
            + 2 * b * d * s.n_total - 2 * b * e * n_tokens - 2 * d * e * total_cn, 0,
        )  # fmt: skip

        above = s.c > share * n
        of_runs = np.where(above, s.c**2 / s.cc, total_c**2 / total_cc)
        effective = np.minimum(n**2 / nn, of_runs)
        tested = (
            (documents >= settings.least_documents) & (n >= settings.least_tokens)
            & (np.maximum(share * n, s.c) >= settings.least_runs) & (effective >= settings.least_effective)
            & (n < total_n) & (total_c < total_n) & (variance > 0) & (as_found > 0)
        )  # fmt: skip
        freedom = np.maximum(np.nan_to_num(effective, nan=0.0) - 1, LEAST_FREEDOM)
        quantile = t_quantile(freedom)
        t = (s.c - share * n) / np.sqrt(np.where(above, as_found, np.maximum(as_found, variance)))
        p = np.full(s.shape, np.nan)
        p[tested] = 2 * special.stdtr(np.broadcast_to(freedom, s.shape)[tested], -np.abs(t[tested]))
        spread = quantile * np.sqrt(log_variance)
        chance = quantile * np.sqrt(variance) / (share * n)
        known = tested & (s.c > 0)
        return Lifts(
            lift=lift, low=np.where(known, lift * np.exp(-spread), np.where(tested, 0.0, np.nan)),
            high=np.where(known, lift * np.exp(spread), np.where(tested, upper_of_none(share * n), np.nan)),
            chance_low=np.maximum(1 - chance, 0), chance_high=1 + chance, t=t, p=p, effective=effective, tested=tested,
        )  # fmt: skip


def t_quantile(freedom: Floats) -> Floats:
    """97.5 % quantile of Student's t, interpolated in 1 / freedom (relative error below 1e-3 from 1 on)."""
    quantile: Floats = np.interp(-1 / np.asarray(freedom), -1 / _GRID, _QUANTILES)
    return quantile


def upper_of_none(expected: Floats) -> Floats:
    """Upper bound of a lift whose expert never ran for the feature: rule of three over the expected runs."""
    return 3 / expected
