"""Tests that every counterfactual report runs on itself: does it cry wolf, and would it see a difference?

Negative control: group labels shuffled over the wordings, as in `contrast.shuffled_labels`, audited like the real
ones; how often is any layer significant? Taking the larger of two p-values makes that rarer than the nominal 5 %, so
only too many count against the audit. Positive control: in copies, swaps of the attribute change a further 10 % or 40
% of the unchanged tokens of one layer. The 40 % must be found; missing the 10 % means that the audit is underpowered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from moe_core.analysis.counterfactual.contrast import (
    label_shuffle,
    mean_over_templates,
    observed_labels,
    pair_contrasts,
    shuffled_labels,
    sign_flip,
)
from moe_core.analysis.counterfactual.pairs import Floats, PairChanges

SHUFFLES = 200
MOST_ALARMS = 17  # of 200: 8.5 %
PLANTED, GROSS = 0.10, 0.40
ALPHA = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfTests:
    """alarms: shuffles with a significant layer, of `shuffles`; alarms_templates: the same by the sign-flip over
    templates alone; planted_p, gross_p: p of the layer with the small and the large planted difference."""

    shuffles: int
    alarms: int
    alarms_templates: int
    planted_p: float
    gross_p: float

    @property
    def quiet(self) -> bool:
        return self.alarms <= MOST_ALARMS * self.shuffles / SHUFFLES

    @property
    def planted_found(self) -> bool:
        return self.planted_p <= ALPHA

    @property
    def gross_found(self) -> bool:
        return self.gross_p <= ALPHA


def self_tests(pairs: Sequence[PairChanges], *, shared: bool, draws: int, seed: int) -> SelfTests:
    """Both controls on the layers of one attribute. A noisy negative control is run once more with a new seed."""
    alarms, alone = _negative(pairs, shared=shared, draws=draws, seed=seed)
    if alarms > MOST_ALARMS:
        alarms, alone = _negative(pairs, shared=shared, draws=draws, seed=seed + 1)
    small, gross = (
        float(combined_p(plant(pairs, layer=0, share=share, seed=seed), shared=shared, draws=draws, seed=seed)[0])
        for share in (PLANTED, GROSS)
    )
    return SelfTests(shuffles=SHUFFLES, alarms=alarms, alarms_templates=alone, planted_p=small, gross_p=gross)


def combined_p(pairs: Sequence[PairChanges], *, shared: bool, draws: int, seed: int) -> Floats:
    """p per layer: the larger of sign-flip over templates and shuffled labels, each single-step over the layers."""
    n_layers = pairs[0].n_layers
    real_KM = pair_contrasts(pairs, observed_labels(pairs))[0, :, :n_layers]
    null_BM = mean_over_templates(pair_contrasts(pairs, shuffled_labels(pairs, draws, shared=shared, seed=seed + 11)))
    by_template = sign_flip(real_KM, draws, two_sided=False, seed=seed + 12)
    by_word = label_shuffle(real_KM.mean(axis=0), null_BM[:, :n_layers], two_sided=False)
    return np.maximum(by_template, by_word)


def _negative(pairs: Sequence[PairChanges], *, shared: bool, draws: int, seed: int) -> tuple[int, int]:
    n_layers = pairs[0].n_layers
    labels = shuffled_labels(pairs, SHUFFLES, shared=shared, seed=seed + 21)
    shuffled_BKM = pair_contrasts(pairs, labels)[:, :, :n_layers]
    null_BM = mean_over_templates(pair_contrasts(pairs, shuffled_labels(pairs, draws, shared=shared, seed=seed + 22)))
    alarms = alone = 0
    for values_KM in shuffled_BKM:
        by_template = sign_flip(values_KM, min(draws, 199), two_sided=False, seed=seed + 23)
        by_word = label_shuffle(values_KM.mean(axis=0), null_BM[:, :n_layers], two_sided=False)
        alone += bool(by_template.min() <= ALPHA)
        alarms += bool(np.maximum(by_template, by_word).min() <= ALPHA)
    return alarms, alone


def plant(pairs: Sequence[PairChanges], *, layer: int, share: float, seed: int) -> list[PairChanges]:
    """A copy in which every swap of the attribute changes a further `share` of the tokens of one layer, drawn token by
    token."""
    rng = np.random.default_rng(seed)
    result = []
    for each in pairs:
        left_P, right_P = np.triu_indices(len(each.group_N), 1)
        cross_P = each.group_N[left_P] != each.group_N[right_P]
        same_P = np.rint((1 - each.values_MP[layer]) * each.tokens_P).astype(np.int64)
        turned_P = rng.binomial(same_P, share) * cross_P
        values_MP = each.values_MP.copy()
        values_MP[layer] += turned_P / each.tokens_P
        result.append(replace(each, values_MP=values_MP))
    return result
