"""Does swapping the attribute change more than swapping neutral words does? The statistic, its tests, its interval.

For one template: mean over pairs of wordings of *different* groups minus mean over pairs of the *same* group. Two
things must hold before a difference counts, and the larger of the two p-values is what is reported:
- it holds for further templates: sign-flip over templates (the template is the unit);
- it holds for further words: they keep their values, their group labels are shuffled (jointly over all templates
  that share them). Without this, one odd name in a list of four makes every template agree.
Both are single-step over all layers (family-wise). Intervals add the variance between templates to a jackknife over
words.

Shape letters: K templates, M measures, B draws, N wordings, P pairs, as in `pairs`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from moe_core.analysis.counterfactual.pairs import Floats, PairChanges

SMALL = 1e-12
Labels = list[NDArray[np.int64]]


def observed_labels(pairs: Sequence[PairChanges]) -> Labels:
    """The groups as they are, (1, N) for each template."""
    return [each.group_N[None, :] for each in pairs]


def shuffled_labels(pairs: Sequence[PairChanges], draws: int, *, shared: bool, seed: int) -> Labels:
    """Group labels in random order, (draws, N) for each template; the same order in all templates if words are
    shared."""
    rng = np.random.default_rng(seed)
    if shared:
        labels_BN = rng.permuted(np.tile(pairs[0].group_N, (draws, 1)), axis=1)
        return [labels_BN] * len(pairs)
    return [rng.permuted(np.tile(each.group_N, (draws, 1)), axis=1) for each in pairs]


def pair_contrasts(
    pairs: Sequence[PairChanges], labels: Labels, *, same_length: bool = False, without: int | None = None
) -> Floats:
    """Different-group minus same-group mean, (B, K, M); NaN where a template lacks one of the two kinds.

    same_length: only pairs of equally many tokens; without: leave out this wording of every template.
    """
    result = np.full((len(labels[0]), len(pairs), len(pairs[0].values_MP)), np.nan)
    for place, (each, labels_BN) in enumerate(zip(pairs, labels, strict=True)):
        left_P, right_P = np.triu_indices(len(each.group_N), 1)
        weight_P = each.same_P.astype(np.float64) if same_length else np.ones(len(left_P))
        if without is not None:
            weight_P = weight_P * ((left_P != without) & (right_P != without))
        same_BP = (labels_BN[:, left_P] == labels_BN[:, right_P]) * weight_P
        n_same_B, n_all = same_BP.sum(axis=1), weight_P.sum()
        usable_B = (n_same_B > 0) & (n_same_B < n_all)
        within_BM = same_BP @ each.values_MP.T
        cross_BM = (each.values_MP @ weight_P)[None, :] - within_BM
        scale_B = np.where(usable_B, n_same_B, 1.0)[:, None]
        rest_B = np.where(usable_B, n_all - n_same_B, 1.0)[:, None]
        result[:, place] = np.where(usable_B[:, None], cross_BM / rest_B - within_BM / scale_B, np.nan)
    return result


def pair_rates(pairs: Sequence[PairChanges], *, same_length: bool = False) -> tuple[Floats, Floats]:
    """(mean change of attribute swaps, of neutral swaps), (M,) each: means over templates of means over pairs."""
    cross, within = [], []
    for each in pairs:
        left_P, right_P = np.triu_indices(len(each.group_N), 1)
        kept_P = each.same_P if same_length else np.ones(len(left_P), dtype=bool)
        same_P = each.group_N[left_P] == each.group_N[right_P]
        if (kept_P & same_P).any() and (kept_P & ~same_P).any():
            cross.append(each.values_MP[:, kept_P & ~same_P].mean(axis=1))
            within.append(each.values_MP[:, kept_P & same_P].mean(axis=1))
    if not cross:
        nothing = np.full(len(pairs[0].values_MP), np.nan)
        return nothing, nothing
    return np.mean(cross, axis=0), np.mean(within, axis=0)


def group_contrasts(pairs: Sequence[PairChanges], labels: Labels, group: int, *, without: int | None = None) -> Floats:
    """Mean of the wordings of `group` minus mean of all others, (B, K, F) for the measures of single wordings."""
    result = np.full((len(labels[0]), len(pairs), len(pairs[0].fills_FN)), np.nan)
    for place, (each, labels_BN) in enumerate(zip(pairs, labels, strict=True)):
        kept_N = np.ones(labels_BN.shape[1])
        if without is not None:
            kept_N[without] = 0
        of_BN = (labels_BN == group) * kept_N
        rest_BN = kept_N - of_BN
        n_B, rest_B = of_BN.sum(axis=1, keepdims=True), rest_BN.sum(axis=1, keepdims=True)
        usable = (n_B > 0) & (rest_B > 0)
        of_BF = of_BN @ each.fills_FN.T / np.where(usable, n_B, 1)
        rest_BF = rest_BN @ each.fills_FN.T / np.where(usable, rest_B, 1)
        result[:, place] = np.where(usable, of_BF - rest_BF, np.nan)
    return result


def sign_flip(values_KM: Floats, draws: int, *, two_sided: bool, seed: int) -> Floats:
    """p per column, single-step over the columns: abs or signed t of each against the largest t of every flip."""
    signs_BK = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(values_KM)))
    null_BM = _t(signs_BK @ values_KM / len(values_KM), values_KM)
    return _exceed(_t(values_KM.mean(axis=0), values_KM), null_BM, two_sided)


def _t(mean: Floats, values_KM: Floats) -> Floats:
    """t of means of the same values under other signs: the sum of squares stays, so the spread follows from the
    mean."""
    k = len(values_KM)
    spread = np.maximum((values_KM**2).mean(axis=0) - mean**2, 0) / max(1, k - 1)
    result: Floats = np.where(np.abs(mean) < SMALL, 0.0, mean / np.sqrt(np.maximum(spread, SMALL**2)))
    return result


def label_shuffle(observed_M: Floats, null_BM: Floats, *, two_sided: bool) -> Floats:
    """p per column, single-step over the columns, each in units of the spread of its own shuffled values."""
    usable = ~np.isnan(null_BM).any(axis=1)
    null_BM = null_BM[usable]
    if not len(null_BM):
        return np.ones_like(observed_M)
    spread = np.maximum(null_BM.std(axis=0), SMALL)
    centre = null_BM.mean(axis=0)
    return _exceed((observed_M - centre) / spread, (null_BM - centre) / spread, two_sided)


def _exceed(observed_M: Floats, null_BM: Floats, two_sided: bool) -> Floats:
    if two_sided:
        observed_M, null_BM = np.abs(observed_M), np.abs(null_BM)
    largest_B = null_BM.max(axis=1)
    p: Floats = (1 + (largest_B[:, None] >= observed_M[None, :] - 1e-9).sum(axis=0)) / (1 + len(largest_B))
    return p


def mean_over_templates(contrasts_BKM: Floats) -> Floats:
    """(B, M): templates that lack a kind of pair are left out; NaN where all do."""
    known = ~np.isnan(contrasts_BKM)
    n = known.sum(axis=1)
    means: Floats = np.where(n > 0, np.where(known, contrasts_BKM, 0).sum(axis=1) / np.maximum(n, 1), np.nan)
    return means


def half_width(values_KM: Floats, jackknife_NM: Floats | None, confidence: float = 0.95) -> Floats:
    """Half of the interval: t quantile x sqrt(variance between templates / K + jackknife variance over words)."""
    k = len(values_KM)
    if k < 2:
        return np.full(values_KM.shape[1], np.nan)
    variance = values_KM.var(axis=0, ddof=1) / k
    freedom = k - 1
    if jackknife_NM is not None and len(jackknife_NM) > 1:
        n = len(jackknife_NM)
        variance = variance + (n - 1) / n * ((jackknife_NM - jackknife_NM.mean(axis=0)) ** 2).sum(axis=0)
        freedom = min(freedom, n - 1)
    width: Floats = stats.t.ppf(0.5 + confidence / 2, freedom) * np.sqrt(variance)
    return width
