"""Counterfactual pairs of one attribute -> what changes beyond a neutral swap: routing, compute, answer, kept apart.

Every difference is "swap of the attribute minus swap of a neutral word", over templates, with a 95 % interval, two
tests (`contrast`) and the smallest difference that this audit would have found (80 % power). A layer is flagged only
if it is significant (family-wise .05 over the layers) AND at least `GATE` large. `same_length` repeats the routing
part with pairs of equally many tokens only, because a longer name alone moves all later tokens.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from moe_core.analysis.counterfactual import contrast
from moe_core.analysis.counterfactual.pairs import FILL_MEASURES, OTHER_MEASURES, Floats, PairChanges
from moe_core.analysis.counterfactual.self_tests import ALPHA, SelfTests, self_tests
from moe_core.errors import GroupTooSmallError

LEAST_TEMPLATES = 5
FEW_TEMPLATES = 20
GATE = 0.02  # a convention: 2 points of the compared choices
ROUTING_COLUMNS = ("layer", "swap", "neutral", "difference", "low", "high", "p_templates", "p_words", "p", "detectable",
                   "flagged")  # fmt: skip
OTHER_COLUMNS = ("measure", "swap", "neutral", "difference", "low", "high", "p", "detectable")
GROUP_COLUMNS = ("group", "wordings", "measure", "mean", "difference", "low", "high", "p")


@dataclass(frozen=True, kw_only=True, slots=True)
class CounterfactualReport:
    """One attribute. routing, same_length: ROUTING_COLUMNS, one row per layer (same_length is empty where no template
    has such pairs of both kinds; its templates are counted in `templates_same_length`); other: OTHER_COLUMNS for
    label, score and experts per token; groups: GROUP_COLUMNS, each group against all others, for score, experts per
    token and tokens; swapped: (group, tokens, experts_per_token) at the swapped words themselves."""

    attribute: str
    groups_named: tuple[str, ...]
    templates: int
    templates_same_length: int
    wordings: int
    swaps: int
    neutral_swaps: int
    routing: pd.DataFrame
    same_length: pd.DataFrame
    other: pd.DataFrame
    groups: pd.DataFrame
    swapped: pd.DataFrame
    tests: SelfTests
    permutations: int
    few_words: bool

    @property
    def underpowered(self) -> bool:
        """Fewer than 20 templates, too few words for shuffled labels to ever become significant, or a missed plant."""
        return self.templates < FEW_TEMPLATES or self.few_words or not self.tests.planted_found

    @property
    def valid(self) -> bool:
        """The controls hold. A large plant that few templates or words could not show counts as underpowered."""
        excused = self.templates < FEW_TEMPLATES or self.few_words
        return self.tests.quiet and (self.tests.gross_found or excused)


def counterfactual_report(
    attribute: str, groups: Sequence[str], pairs: Sequence[PairChanges], *, shared: bool, permutations: int, seed: int
) -> CounterfactualReport:
    """Frames and self-tests of one attribute; columns in `CounterfactualReport`.

    Raises GroupTooSmallError below 5 templates: the template is the unit, and fewer say nothing about others.
    """
    if len(pairs) < LEAST_TEMPLATES:
        raise GroupTooSmallError(
            f"Attribute {attribute!r} has {len(pairs)} templates: at least {LEAST_TEMPLATES} are needed, since the "
            f"template is the unit of the test; from {FEW_TEMPLATES} on it finds more than gross differences."
        )
    same = [each for each in pairs if not np.isnan(_real(each)).any()]
    enough = len(same) >= LEAST_TEMPLATES
    same_length = _routing(same, shared, permutations, seed, True) if enough else _empty(ROUTING_COLUMNS)
    cross = sum(int((each.group_N[:, None] != each.group_N[None, :]).sum()) // 2 for each in pairs)
    return CounterfactualReport(
        attribute=attribute,
        groups_named=tuple(groups),
        templates=len(pairs),
        templates_same_length=len(same),
        wordings=sum(len(each.group_N) for each in pairs),
        swaps=cross,
        neutral_swaps=sum(len(each.tokens_P) for each in pairs) - cross,
        routing=_routing(pairs, shared, permutations, seed, False),
        same_length=same_length,
        other=_others(pairs, shared, permutations, seed),
        groups=_groups(pairs, groups, shared, permutations, seed),
        swapped=_swapped(pairs, groups),
        tests=self_tests(pairs, shared=shared, draws=permutations, seed=seed),
        permutations=permutations,
        few_words=shared and arrangements(pairs[0].group_N.tolist()) < 1 / ALPHA,
    )


def arrangements(group_N: Sequence[int]) -> int:
    """In how many different ways the wordings can be put into groups of these sizes; names of groups do not matter."""
    sizes = list(Counter(group_N).values())
    n = math.factorial(len(group_N))
    for count in sizes:
        n //= math.factorial(count)
    for equal in Counter(sizes).values():
        n //= math.factorial(equal)
    return n


def _real(each: PairChanges) -> Floats:
    real_M: Floats = contrast.pair_contrasts([each], contrast.observed_labels([each]), same_length=True)[0, 0]
    return real_M


def _empty(columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))


def _measured(
    pairs: Sequence[PairChanges], shared: bool, draws: int, seed: int, same_length: bool
) -> tuple[Floats, Floats, Floats, Floats]:
    """(contrasts (K, M), shuffled means (B, M), half widths (M,), jackknife (N, M))."""
    real_KM = contrast.pair_contrasts(pairs, contrast.observed_labels(pairs), same_length=same_length)[0]
    labels = contrast.shuffled_labels(pairs, draws, shared=shared, seed=seed + 1)
    null_BM = contrast.mean_over_templates(contrast.pair_contrasts(pairs, labels, same_length=same_length))
    jackknife = None
    if shared:
        without = [
            contrast.pair_contrasts(pairs, contrast.observed_labels(pairs), same_length=same_length, without=n)
            for n in range(len(pairs[0].group_N))
        ]
        means = np.concatenate([contrast.mean_over_templates(each) for each in without])
        jackknife = means[~np.isnan(means).any(axis=1)]
    return real_KM, null_BM, contrast.half_width(real_KM, jackknife), real_KM.mean(axis=0)


def _routing(
    pairs: Sequence[PairChanges], shared: bool, draws: int, seed: int, same_length: bool
) -> pd.DataFrame:
    n_layers = pairs[0].n_layers
    real_KM, null_BM, half_M, mean_M = _measured(pairs, shared, draws, seed, same_length)
    swap_M, neutral_M = contrast.pair_rates(pairs, same_length=same_length)
    p_templates = contrast.sign_flip(real_KM[:, :n_layers], draws, two_sided=False, seed=seed + 2)
    p_words = contrast.label_shuffle(mean_M[:n_layers], null_BM[:, :n_layers], two_sided=False)
    p = np.maximum(p_templates, p_words)
    frame = pd.DataFrame(
        {
            "layer": np.arange(n_layers),
            "swap": swap_M[:n_layers],
            "neutral": neutral_M[:n_layers],
            "difference": mean_M[:n_layers],
            "low": (mean_M - half_M)[:n_layers],
            "high": (mean_M + half_M)[:n_layers],
            "p_templates": p_templates,
            "p_words": p_words,
            "p": p,
            "detectable": _detectable(half_M[:n_layers], len(pairs)),
            "flagged": (p <= ALPHA) & (mean_M[:n_layers] >= GATE),
        },
        columns=list(ROUTING_COLUMNS),
    )
    return frame


def _detectable(half_M: Floats, k: int) -> Floats:
    """Smallest difference found with 80 % power at 5 %, from the width of the interval."""
    freedom = max(1, k - 1)
    width: Floats = half_M * (1 + stats.t.ppf(0.8, freedom) / stats.t.ppf(0.975, freedom))
    return width


def _others(pairs: Sequence[PairChanges], shared: bool, draws: int, seed: int) -> pd.DataFrame:
    n_layers = pairs[0].n_layers
    real_KM, null_BM, half_M, mean_M = _measured(pairs, shared, draws, seed, False)
    swap_M, neutral_M = contrast.pair_rates(pairs)
    rows = []
    for place, measure in enumerate(OTHER_MEASURES, start=n_layers):
        one = slice(place, place + 1)
        by_template = contrast.sign_flip(real_KM[:, one], draws, two_sided=False, seed=seed + 3)
        by_word = contrast.label_shuffle(mean_M[one], null_BM[:, one], two_sided=False)
        rows.append(
            (measure, swap_M[place], neutral_M[place], mean_M[place], mean_M[place] - half_M[place],
             mean_M[place] + half_M[place], max(by_template[0], by_word[0]), _detectable(half_M, len(pairs))[place])
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(OTHER_COLUMNS))


def _groups(
    pairs: Sequence[PairChanges], groups: Sequence[str], shared: bool, draws: int, seed: int
) -> pd.DataFrame:
    """Each group against all others; p single-step over the groups, one measure at a time, two-sided."""
    real = contrast.observed_labels(pairs)
    labels = contrast.shuffled_labels(pairs, draws, shared=shared, seed=seed + 4)
    by_group = np.stack([contrast.group_contrasts(pairs, real, g)[0] for g in range(len(groups))])
    nulls = [contrast.mean_over_templates(contrast.group_contrasts(pairs, labels, g)) for g in range(len(groups))]
    jackknives = [_jackknife(pairs, g) if shared else None for g in range(len(groups))]
    rows = []
    for place, measure in enumerate(FILL_MEASURES):
        values_KG = by_group[:, :, place].T
        by_template = contrast.sign_flip(values_KG, draws, two_sided=True, seed=seed + 5)
        null_BG = np.stack([null[:, place] for null in nulls], axis=1)
        by_word = contrast.label_shuffle(values_KG.mean(axis=0), null_BG, two_sided=True)
        for g, group in enumerate(groups):
            left_out = jackknives[g]
            half = contrast.half_width(values_KG[:, [g]], None if left_out is None else left_out[:, [place]])[0]
            mean = values_KG[:, g].mean()
            level = np.mean([each.fills_FN[place, each.group_N == g].mean() for each in pairs])
            wordings = sum(int((each.group_N == g).sum()) for each in pairs)
            rows.append(
                (group, wordings, measure, level, mean, mean - half, mean + half, max(by_template[g], by_word[g]))
            )
    return pd.DataFrame(rows, columns=list(GROUP_COLUMNS))


def _jackknife(pairs: Sequence[PairChanges], group: int) -> Floats:
    """Mean contrast of the group with each wording left out in turn, (N, F)."""
    real = contrast.observed_labels(pairs)
    left_out = [contrast.group_contrasts(pairs, real, group, without=n) for n in range(len(pairs[0].group_N))]
    means = np.concatenate([contrast.mean_over_templates(each) for each in left_out])
    known: Floats = means[~np.isnan(means).any(axis=1)]
    return known


def _swapped(pairs: Sequence[PairChanges], groups: Sequence[str]) -> pd.DataFrame:
    """(group, wordings, experts_per_token) at the swapped words themselves: reported, not tested."""
    rows = []
    for g, group in enumerate(groups):
        values = np.concatenate([each.swapped_N[each.group_N == g] for each in pairs])
        known = values[~np.isnan(values)]
        rows.append((group, len(known), float(known.mean()) if len(known) else np.nan))
    return pd.DataFrame(rows, columns=["group", "wordings", "experts_per_token"])
